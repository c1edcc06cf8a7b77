//! Configuration: flags over environment over one file.
//!
//! The file is `config.toml` in the home, or else in `/etc/virtengine/`: the first that is there
//! counts alone. An unknown key, a wrong type or a value out of range is an error with its line,
//! never ignored: a misspelled security setting must not silently keep its default.

pub(crate) mod hsm;
pub(crate) mod sections;
mod environment;
mod read;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use kms::lifecycle::KeyLifecyclePolicy;
use serde::Serialize;

use crate::config::hsm::Hsm;
use crate::config::sections::Audit;
use crate::config::sections::Server;
use crate::config::sections::Session;
use crate::config::sections::Validator;
use crate::exit::Exit;
use crate::output::Format;
use crate::problem::Problem;
use crate::problem::warn;

pub(crate) use read::Finding;

/// The system-wide file, read where the home has none.
const SYSTEM_FILE: &str = "/etc/virtengine/config.toml";

/// A configuration file is at most so many bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Every setting, with defaults where nothing was said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Config {
    /// How data is written unless `-o` or `VIRTENGINE_OUTPUT` says otherwise.
    pub(crate) output: Format,
    /// The audit log.
    pub(crate) audit: Audit,
    /// Sessions.
    pub(crate) session: Session,
    /// The daemon.
    pub(crate) server: Server,
    /// Tokens, by name.
    pub(crate) hsm: BTreeMap<String, Hsm>,
    /// Lifecycle policies beside the built-in ones.
    pub(crate) policy: Vec<KeyLifecyclePolicy>,
    /// Nodes that are signed for.
    pub(crate) validator: Vec<Validator>,
}

/// A configuration and where it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The settings in effect.
    pub(crate) config: Config,
    /// The file, where there is one.
    pub(crate) file: Option<PathBuf>,
}

/// Reads what is in effect for `home`.
///
/// # Errors
/// Exit 2 with every problem of the file and the environment; or when the file cannot be read.
pub(crate) fn load(home: &Path) -> Result<Loaded, Problem> {
    let file = find(home)?;
    let text = file.as_deref().map(read_file).transpose()?.unwrap_or_default();
    let (config, findings) = parse_with(&text, |name| std::env::var(name).ok());
    if !findings.is_empty() {
        return Err(invalid(file, &findings));
    }
    if let (Some(path), false) = (&file, config.hsm.is_empty()) {
        kept_from_others(path)?;
    }
    Ok(Loaded { config, file })
}

/// Reads one file as `load` would, without the environment, and tells all that is wrong with it.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn check(path: &Path) -> Result<Vec<Finding>, Problem> {
    let (_, findings) = parse_with(&read_file(path)?, |_| None);
    Ok(findings)
}

/// The file that counts for `home`.
///
/// # Errors
/// When a directory on the way cannot be searched.
pub(crate) fn find(home: &Path) -> Result<Option<PathBuf>, Problem> {
    for path in [home.join("config.toml"), PathBuf::from(SYSTEM_FILE)] {
        let there = match path.try_exists() {
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(false),
            there => there,
        };
        if there.map_err(|e| Problem::io(format!("cannot look for {}", path.display()), &e))? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn parse_with(text: &str, variable: impl Fn(&str) -> Option<String>) -> (Config, Vec<Finding>) {
    let (mut config, mut findings) = read::parse(text);
    findings.extend(environment::apply(&mut config, variable));
    (config, findings)
}

/// Refuses a file that names libraries to load and that others may write: who writes it could run
/// code of theirs with our PINs.
fn kept_from_others(path: &Path) -> Result<(), Problem> {
    let shown = path.display();
    let about = path.metadata().map_err(|e| Problem::io(format!("cannot read {shown}"), &e))?;
    let own = rustix::process::geteuid().as_raw();
    if about.mode() & 0o022 == 0 && (about.uid() == 0 || about.uid() == own) {
        return Ok(());
    }
    let message = format!("{shown} names PKCS#11 libraries, and others may write it");
    Err(Problem::new(Exit::Usage, "config_unsafe", message)
        .because(format!("it belongs to user {}, mode {:o}", about.uid(), about.mode() & 0o777))
        .fix(format!("chown root {shown}; chmod go-w {shown}")))
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let unreadable = |e: io::Error| Problem::io(format!("cannot read {}", path.display()), &e);
    let mut file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() || about.len() > FILE_LIMIT {
        let message = format!("{} is no file of at most {FILE_LIMIT} bytes", path.display());
        return Err(Problem::new(Exit::Usage, "config_invalid", message));
    }
    if about.mode() & 0o022 != 0 {
        warn(&format!("{} can be changed by others (chmod go-w)", path.display()));
    }
    let mut text = Vec::new();
    file.by_ref().take(FILE_LIMIT).read_to_end(&mut text).map_err(unreadable)?;
    String::from_utf8(text).map_err(|e| {
        let message = format!("{} is no text", path.display());
        Problem::new(Exit::Usage, "config_invalid", message).because(e.to_string())
    })
}

fn invalid(file: Option<PathBuf>, findings: &[Finding]) -> Problem {
    let place = file.map_or_else(|| "the environment".to_owned(), |f| f.display().to_string());
    let reasons: Vec<String> = findings.iter().map(Finding::to_string).collect();
    let mut problem =
        Problem::new(Exit::Usage, "config_invalid", format!("configuration in {place} is invalid"))
            .because(reasons.join("; "));
    for advice in findings.iter().filter_map(|finding| finding.advice.clone()) {
        problem = problem.fix(advice);
    }
    problem.fix("virtengine config check")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../docs/samples/config.toml");

    #[test]
    fn sample_is_valid_and_shows_every_setting() {
        let (config, findings) = parse_with(SAMPLE, |_| None);
        assert_eq!(findings, []);
        let shown = serde_json::to_value(&config).unwrap();
        for (section, fields) in sections::KNOWN {
            for field in *fields {
                let in_section = shown[section].get(field).or_else(|| shown[section][0].get(field));
                let in_named = || shown[section].as_object()?.values().next()?.get(field);
                let in_section = in_section.or_else(in_named);
                assert!(in_section.is_some(), "{section}.{field} is no setting");
                assert!(
                    SAMPLE.lines().any(|l| l.trim_start_matches("# ").starts_with(field)),
                    "the sample lacks {section}.{field}"
                );
            }
        }
    }

    #[test]
    fn environment_wins_over_the_file() {
        let text = "output = \"yaml\"\n[session]\nidle_timeout_s = 60\n";
        let variable =
            |name: &str| (name == "VIRTENGINE_SESSION_IDLE_TIMEOUT_S").then(|| "30".into());
        let (config, findings) = parse_with(text, variable);
        assert_eq!(findings, []);
        assert_eq!(config.session.idle_timeout_s, 30);
        assert_eq!(config.output, Format::Yaml);
    }

    #[test]
    fn wrong_value_in_the_environment_is_named() {
        let variable =
            |name: &str| (name == "VIRTENGINE_AUDIT_SYNC_WRITES").then(|| "maybe".into());
        let (config, findings) = parse_with("", variable);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].to_string().starts_with("VIRTENGINE_AUDIT_SYNC_WRITES: "));
        assert!(config.audit.sync_writes);
    }
}
