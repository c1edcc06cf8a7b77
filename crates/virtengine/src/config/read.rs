//! Reads `config.toml` and tells everything that is wrong with it, each with its line.
//!
//! Each setting is read on its own, so that one mistake does not hide the next.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use kms::lifecycle::KeyLifecyclePolicy;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

use crate::config::Config;
use crate::config::hsm::Hsm;
use crate::config::sections::KNOWN;
use crate::config::sections::Validator;
use crate::output::Format;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Finding {
    /// The line in the file, from 1; absent for the environment.
    pub(crate) line: Option<usize>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead, where that can be guessed.
    pub(crate) advice: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

type Value<'a> = Spanned<DeValue<'a>>;
type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

/// The settings that could be read, and everything that is wrong.
pub(crate) fn parse(text: &str) -> (Config, Vec<Finding>) {
    let mut reader = Reader { text, findings: Vec::new() };
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.find(error.span(), error.message().to_owned(), None);
    }
    let config = if errors.is_empty() { reader.config(root.get_ref()) } else { Config::default() };
    (config, reader.findings)
}

struct Reader<'t> {
    text: &'t str,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn config(&mut self, root: &DeTable<'_>) -> Config {
        let mut config = Config::default();
        for (key, value) in root.iter() {
            match key.get_ref().as_ref() {
                "output" => config.output = self.output(key, value),
                "audit" => {
                    config.audit = self.table("audit", value);
                    self.refused(value, config.audit.refusal());
                }
                "session" => {
                    config.session = self.table("session", value);
                    self.refused(value, config.session.policy().err());
                }
                "server" => {
                    config.server = self.table("server", value);
                    self.refused(value, config.server.refusal());
                }
                "hsm" => config.hsm = self.hsms(value),
                "policy" => config.policy = self.policies(value),
                "validator" => config.validator = self.validators(value),
                unknown => {
                    let known = KNOWN.iter().map(|(name, _)| *name).chain(["output"]);
                    self.unknown(key, unknown, nearest(unknown, known));
                }
            }
        }
        config
    }

    /// Values that can be read but contradict each other or are out of range.
    fn refused(&mut self, at: &Value<'_>, refusal: Option<String>) {
        if let Some(refusal) = refusal {
            self.find(Some(at.span()), refusal, None);
        }
    }

    fn output(&mut self, key: &Key<'_>, value: &Value<'_>) -> Format {
        let read =
            serde::Deserialize::deserialize(toml::de::ValueDeserializer::from(value.clone()));
        read.unwrap_or_else(|error: toml::de::Error| {
            self.find(Some(key.span()), format!("output: {}", error.message()), None);
            Format::default()
        })
    }

    /// Reads a section setting by setting; what cannot be read keeps its default.
    fn table<T: DeserializeOwned + Default>(&mut self, section: &str, value: &Value<'_>) -> T {
        let Some(table) = value.get_ref().as_table() else {
            self.find(Some(value.span()), format!("{section} is a table: [{section}]"), None);
            return T::default();
        };
        let mut sound = DeTable::new();
        for (key, setting) in table.iter() {
            let mut alone = DeTable::new();
            alone.insert(key.clone(), setting.clone());
            if self.setting::<T>(section, key, alone) {
                sound.insert(key.clone(), setting.clone());
            }
        }
        // Every setting in it was read once already.
        deserialize(sound, value.span()).unwrap_or_default()
    }

    /// Whether a setting can be read, in a table with all that must stand beside it.
    fn setting<T: DeserializeOwned>(
        &mut self,
        section: &str,
        key: &Key<'_>,
        table: DeTable<'_>,
    ) -> bool {
        let fields = KNOWN.iter().find(|(name, _)| *name == section).map_or(&[][..], |(_, f)| *f);
        let name = key.get_ref().as_ref();
        if !fields.contains(&name) {
            self.unknown(key, &format!("{section}.{name}"), nearest(name, fields.iter().copied()));
            return false;
        }
        let read = deserialize::<T>(table, key.span());
        if let Err(error) = &read {
            self.find(Some(key.span()), format!("{section}.{name}: {}", error.message()), None);
        }
        read.is_ok()
    }

    /// Reads the sections `[hsm.NAME]`.
    fn hsms(&mut self, value: &Value<'_>) -> BTreeMap<String, Hsm> {
        let Some(sections) = value.get_ref().as_table() else {
            let message = "hsm is a table of tables: [hsm.NAME]".to_owned();
            self.find(Some(value.span()), message, None);
            return BTreeMap::new();
        };
        let mut found = BTreeMap::new();
        for (name, section) in sections.iter() {
            let before = self.findings.len();
            let hsm: Hsm = self.table("hsm", section);
            let name = name.get_ref().as_ref();
            if self.findings.len() == before {
                self.refused(section, hsm.refusal(name));
            }
            found.insert(name.to_owned(), hsm);
        }
        found
    }

    fn policies(&mut self, value: &Value<'_>) -> Vec<KeyLifecyclePolicy> {
        let Some(entries) = value.get_ref().as_array() else {
            let message = "policy is a list of tables: [[policy]]".to_owned();
            self.find(Some(value.span()), message, None);
            return Vec::new();
        };
        let mut names = BTreeSet::new();
        let mut policies = Vec::new();
        for entry in entries.iter() {
            let Some(policy) = self.policy(entry) else { continue };
            if !names.insert(policy.name.folded()) {
                let message = format!("policy `{}` stands here twice", policy.name);
                self.find(Some(entry.span()), message, None);
            }
            self.refused(entry, policy.validate().err().map(|refusal| refusal.to_string()));
            policies.push(policy);
        }
        policies
    }

    /// Reads one policy setting by setting, each beside the name.
    fn policy(&mut self, entry: &Value<'_>) -> Option<KeyLifecyclePolicy> {
        let Some(table) = entry.get_ref().as_table() else {
            let message = "policy is a list of tables: [[policy]]".to_owned();
            self.find(Some(entry.span()), message, None);
            return None;
        };
        let Some((name_key, name)) = table.get_key_value("name") else {
            self.find(Some(entry.span()), "a [[policy]] needs a `name`".to_owned(), None);
            return None;
        };
        let mut sound = DeTable::new();
        sound.insert(name_key.clone(), name.clone());
        if !self.setting::<KeyLifecyclePolicy>("policy", name_key, sound.clone()) {
            return None;
        }
        for (key, setting) in table.iter().filter(|(key, _)| key.get_ref() != "name") {
            let mut beside = DeTable::new();
            beside.insert(name_key.clone(), name.clone());
            beside.insert(key.clone(), setting.clone());
            if self.setting::<KeyLifecyclePolicy>("policy", key, beside) {
                sound.insert(key.clone(), setting.clone());
            }
        }
        deserialize(sound, entry.span()).ok()
    }

    fn validators(&mut self, value: &Value<'_>) -> Vec<Validator> {
        let Some(entries) = value.get_ref().as_array() else {
            let message = "validator is a list of tables: [[validator]]".to_owned();
            self.find(Some(value.span()), message, None);
            return Vec::new();
        };
        let mut names = BTreeSet::new();
        let mut validators = Vec::new();
        for entry in entries.iter() {
            let Some(validator) = self.validator(entry) else { continue };
            if !names.insert(validator.file_name()) {
                let message = format!("two validator connections are called {}", validator.name());
                self.find(Some(entry.span()), message, None);
            }
            validators.push(validator);
        }
        validators
    }

    fn validator(&mut self, entry: &Value<'_>) -> Option<Validator> {
        let table = entry.get_ref().as_table()?;
        let known = Validator::FIELDS;
        for (key, _) in table.iter() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let near = nearest(name, known.iter().copied());
                self.unknown(key, &format!("validator.{name}"), near);
                return None;
            }
        }
        let read = deserialize::<Validator>(table.clone(), entry.span());
        if let Err(error) = &read {
            self.find(Some(entry.span()), format!("validator: {}", error.message()), None);
        }
        read.ok()
    }

    fn unknown(&mut self, key: &Key<'_>, name: &str, near: Option<&str>) {
        let advice = near.map(|near| format!("did you mean `{near}`?"));
        let hint = advice.as_ref().map(|a| format!("; {a}")).unwrap_or_default();
        self.find(Some(key.span()), format!("unknown key `{name}`{hint}"), advice);
    }

    fn find(&mut self, at: Option<Range<usize>>, message: String, advice: Option<String>) {
        let line =
            at.and_then(|span| self.text.get(..span.start)).map(|t| t.matches('\n').count() + 1);
        self.findings.push(Finding { line, message, advice });
    }
}

fn deserialize<T: DeserializeOwned>(
    table: DeTable<'_>,
    span: Range<usize>,
) -> Result<T, toml::de::Error> {
    T::deserialize(toml::Deserializer::from(Spanned::new(span, table)))
}

/// The known name that `name` most likely stands for.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let score = |candidate: &str| strsim::normalized_damerau_levenshtein(name, candidate);
    known
        .map(|candidate| (score(candidate), candidate))
        .filter(|(score, _)| *score >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        parse(text).1.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn empty_file_is_the_default() {
        assert_eq!(parse(""), (Config::default(), vec![]));
    }

    #[test]
    fn validators_are_read_whole_or_refused_with_their_line() {
        let entry =
            "[[validator]]\nchain_id = \"c-1\"\nkey = \"val\"\naddress = \"unix:///a.sock\"\n";
        let (config, found) = parse(entry);
        assert_eq!(found, []);
        let [validator] = config.validator.as_slice() else { panic!() };
        assert_eq!(validator.name(), "c-1 unix:///a.sock");
        assert_eq!(validator.file_name(), "c-1_unix____a_sock");
        let twice = format!("{entry}{entry}");
        assert_eq!(findings(&twice).len(), 1);
        for (line, why) in [
            ("dialect = \"v0.33\"", "`v0.33` is no dialect"),
            ("adress = \"tcp://a:1\"", "did you mean `address`?"),
            ("peer_uid = \"me\"", "invalid type"),
        ] {
            let found = findings(&format!("{entry}{line}\n"));
            assert!(found[0].contains(why), "{found:?}");
        }
        let found = findings(&entry.replace("unix://", "http://"));
        assert!(found[0].contains("it begins with unix:// or tcp://"), "{found:?}");
    }

    #[test]
    fn misspelled_keys_get_a_guess_and_a_line() {
        let text = "ouput = \"json\"\n\n[audit]\nsync_write = false\n[sesion]\nx = 1\n";
        assert_eq!(
            findings(text),
            [
                "line 4: unknown key `audit.sync_write`; did you mean `sync_writes`?",
                "line 1: unknown key `ouput`; did you mean `output`?",
                "line 5: unknown key `sesion`; did you mean `session`?",
            ]
        );
    }

    #[test]
    fn one_mistake_does_not_hide_the_next() {
        let text = "[session]\nidle_timeout_s = \"soon\"\nmax_per_principal = -1\nbind_ip = true\n";
        let (config, found) = parse(text);
        assert_eq!(found.iter().filter_map(|f| f.line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(config.session.idle_timeout_s, 900);
    }

    #[test]
    fn text_that_is_no_toml_is_refused_with_its_line() {
        let (config, found) = parse("[audit]\nmax_file_size = = 1\n");
        assert_eq!(found.first().and_then(|f| f.line), Some(2));
        assert_eq!(config, Config::default());
    }

    #[test]
    fn policies_need_a_name_each_its_own() {
        let text = "[[policy]]\nname = \"a\"\nmax_active_age_days = 3\n[[policy]]\nname = \"A\"\n\
                    [[policy]]\nauto_rotate = true\n";
        let (config, found) = parse(text);
        assert_eq!(config.policy.len(), 2);
        let lines: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(
            lines,
            ["line 4: policy `A` stands here twice", "line 6: a [[policy]] needs a `name`",]
        );
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        let text = "[audit]\nenable_chaining = false\n[session]\nidle_timeout_s = 50000\n\
                    [[policy]]\nname = \"p\"\nexpiration_days = 10\nwarning_days_before_exp = 20\n";
        let lines: Vec<_> = parse(text).1.into_iter().filter_map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 5, 3]);
        let apart = "[session]\nidle_timeout_s = 50000\nabsolute_timeout_s = 60000\n";
        assert_eq!(parse(apart).1, []);
    }

    #[test]
    fn hsms_are_read_by_name_and_mistakes_in_them_have_a_line() {
        let text = "[hsm.soft]\nlibrary_path = \"/lib/x.so\"\n[hsm.other]\nlibary_path = \"/l\"\n\
                    [hsm.third]\nlibrary_path = \"/l\"\nmax_sessions = 1\n";
        let (config, found) = parse(text);
        assert_eq!(config.hsm.len(), 3);
        let lines: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(
            lines,
            [
                "line 4: unknown key `hsm.libary_path`; did you mean `library_path`?",
                "line 5: hsm.third: max_sessions is 2 to 256; one keeps the login",
            ]
        );
        assert_eq!(findings("hsm = 1"), ["line 1: hsm is a table of tables: [hsm.NAME]"]);
    }

    #[test]
    fn hostile_files_are_refused_without_a_panic() {
        for text in ["policy = 1", "audit = []", "[[audit]]", "[policy]\nname=\"x\"", "a.b.c = 1"] {
            assert_eq!(findings(text).len(), 1, "{text}");
        }
        assert!(!findings(&"[".repeat(20_000)).is_empty());
        assert!(!findings(&format!("x = {}", "[".repeat(20_000))).is_empty());
    }
}
