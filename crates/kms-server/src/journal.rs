//! The daemon's own journal on stderr: text for people, JSON lines for programs. Not the audit log,
//! and never a secret: what is written here are names, numbers and codes of this program's making.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use kms::time::Clock;
use kms::time::SystemClock;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What a line is worth, as journald numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something to look at.
    Warning,
    /// As it should be.
    Info,
}

#[derive(Debug, Clone, Copy)]
struct Journal {
    form: Form,
    requests: bool,
}

static JOURNAL: OnceLock<Journal> = OnceLock::new();

/// Begins the journal; `requests` says whether each request gets a line. Later calls change nothing.
pub fn begin(form: Form, requests: bool) {
    _ = JOURNAL.set(Journal { form, requests });
}

/// Writes a line.
pub fn line(level: Level, message: &str, fields: &[(&str, &str)]) {
    let Some(journal) = JOURNAL.get() else { return };
    let text = match journal.form {
        Form::Text => as_text(level, message, fields),
        Form::Json => as_json(level, message, fields),
    };
    _ = std::io::stderr().lock().write_all(text.as_bytes()); // nobody reads it: nothing to tell
}

/// Writes the line of a request, where that is wanted, and of every one that went wrong here.
pub(crate) fn request(
    operation: &'static str,
    status: u16,
    (id, address, took): (&str, Option<IpAddr>, Duration),
) {
    let Some(journal) = JOURNAL.get() else { return };
    let failed = status >= 500 && status != 503;
    if !journal.requests && !failed {
        return;
    }
    let (status, micros) = (status.to_string(), took.as_micros().to_string());
    let address = address.map_or_else(|| "local".to_owned(), |address| address.to_string());
    let level = if failed { Level::Error } else { Level::Info };
    let fields = [
        ("operation", operation),
        ("status", &status),
        ("request_id", id),
        ("from", &address),
        ("took_us", &micros),
    ];
    line(level, "request", &fields);
}

fn as_text(level: Level, message: &str, fields: &[(&str, &str)]) -> String {
    let word = match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
    };
    let mut text = format!("{} {word:7} {}", SystemClock.now(), message.escape_debug());
    for (name, value) in fields {
        _ = write!(text, " {name}={}", value.escape_debug());
    }
    text.push('\n');
    text
}

fn as_json(level: Level, message: &str, fields: &[(&str, &str)]) -> String {
    let (word, priority) = match level {
        Level::Error => ("error", 3),
        Level::Warning => ("warning", 4),
        Level::Info => ("info", 6),
    };
    let mut object = serde_json::Map::new();
    let now = SystemClock.now().to_string();
    for (name, value) in [("time", &*now), ("level", word), ("message", message)] {
        object.insert(name.to_owned(), value.into());
    }
    object.insert("priority".to_owned(), priority.into());
    for (name, value) in fields {
        object.insert((*name).to_owned(), (*value).into());
    }
    serde_json::Value::Object(object).to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_can_begin_a_line_of_its_own() {
        let hostile = [("agent", "x\n2026 error all lost\u{1b}[2J")];
        let text = as_text(Level::Info, "request", &hostile);
        assert_eq!(text.matches('\n').count(), 1);
        assert!(!text.contains('\u{1b}'));
        let json = as_json(Level::Info, "request", &hostile);
        assert_eq!(json.matches('\n').count(), 1);
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    }
}
