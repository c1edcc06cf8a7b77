//! Settings from the environment: `VIRTENGINE_<SECTION>_<SETTING>`, over the file. Policies
//! and HSMs are lists and stand in the file only.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::config::read::Finding;
use crate::config::sections::Audit;
use crate::config::sections::Server;
use crate::config::sections::Session;

/// Puts what `variable` knows over `config`; tells what could not be read.
pub(crate) fn apply(
    config: &mut Config,
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    let mut overlay = Overlay { variable, findings: Vec::new() };
    overlay.put("AUDIT", Audit::FIELDS, &mut config.audit, Audit::refusal);
    overlay.put("SESSION", Session::FIELDS, &mut config.session, |s| s.policy().err());
    overlay.put("SERVER", Server::FIELDS, &mut config.server, Server::refusal);
    overlay.findings
}

struct Overlay<V> {
    variable: V,
    findings: Vec<Finding>,
}

impl<V: Fn(&str) -> Option<String>> Overlay<V> {
    fn put<T: Serialize + DeserializeOwned>(
        &mut self,
        section: &str,
        fields: &[&str],
        settings: &mut T,
        refusal: impl FnOnce(&T) -> Option<String>,
    ) {
        let mut changed = false;
        for field in fields {
            let name = format!("VIRTENGINE_{section}_{field}").to_ascii_uppercase();
            let Some(text) = (self.variable)(&name) else { continue };
            match merged(settings, field, &text) {
                Ok(with_it) => {
                    *settings = with_it;
                    changed = true;
                }
                Err(error) => self.find(format!("{name}: {error}")),
            }
        }
        if let Some(why) = changed.then(|| refusal(settings)).flatten() {
            self.find(format!("VIRTENGINE_{section}_…: {why}"));
        }
    }

    fn find(&mut self, message: String) {
        self.findings.push(Finding { line: None, message, advice: None });
    }
}

/// The settings with this one in place of its old value. Text that reads as a number or a truth
/// value is one, everything else is text.
fn merged<T: Serialize + DeserializeOwned>(
    settings: &T,
    field: &str,
    text: &str,
) -> Result<T, serde_json::Error> {
    let mut all = serde_json::to_value(settings)?;
    let value = match text {
        "true" => true.into(),
        "false" => false.into(),
        text => text.parse::<u64>().map_or_else(|_| text.into(), serde_json::Value::from),
    };
    if let Some(fields) = all.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
    serde_json::from_value(all)
}
