//! Settings from the environment: `VIRTENGINE_<SECTION>_<SETTING>`, over the file.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::config::read::Finding;
use crate::config::sections::KNOWN;

/// Puts what `variable` knows over `config`; tells what could not be read.
pub(crate) fn apply(
    config: &mut Config,
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (section, fields) in KNOWN {
        for field in *fields {
            let name = format!("VIRTENGINE_{section}_{field}").to_ascii_uppercase();
            let Some(value) = variable(&name) else { continue };
            let setting = Setting { name: &name, field, value: &value };
            let refused = match *section {
                "audit" => setting.put(&mut config.audit),
                "session" => setting.put(&mut config.session),
                _ => None, // policies are lists: file only
            };
            findings.extend(refused);
        }
    }
    findings
}

struct Setting<'a> {
    name: &'a str,
    field: &'a str,
    value: &'a str,
}

impl Setting<'_> {
    fn put<T: Serialize + DeserializeOwned>(&self, section: &mut T) -> Option<Finding> {
        match self.merged(section) {
            Ok(merged) => {
                *section = merged;
                None
            }
            Err(why) => {
                let message = format!("{}: {why}", self.name);
                Some(Finding { line: None, message, advice: None })
            }
        }
    }

    /// The section with this setting in place of its old value. Text that reads as a number or a
    /// truth value is one, everything else is text.
    fn merged<T: Serialize + DeserializeOwned>(&self, section: &T) -> Result<T, serde_json::Error> {
        let mut all = serde_json::to_value(section)?;
        let value = match self.value {
            "true" => true.into(),
            "false" => false.into(),
            text => text.parse::<u64>().map_or_else(|_| text.into(), serde_json::Value::from),
        };
        if let Some(fields) = all.as_object_mut() {
            fields.insert(self.field.to_owned(), value);
        }
        serde_json::from_value(all)
    }
}
