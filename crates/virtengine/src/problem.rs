//! What went wrong, as a person reads it and as a program reads it.
//!
//! Text has the most important line last: what failed, why with the value seen, what to do.
//! JSON is one object on one line of stderr. Secrets never stand in a problem.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Mutex;
use std::sync::PoisonError;

use kms_api::Failure;
use serde::Serialize;

use crate::exit::Exit;
use crate::output::Format;
use crate::output::text::escape;

/// A failure on its way to the person: nothing catches it but `main`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// Which number the process ends with.
    #[serde(skip)]
    pub(crate) exit: Exit,
    /// Stable name of the failure, for programs.
    pub(crate) code: Cow<'static, str>,
    /// What failed, in one line.
    pub(crate) message: String,
    /// Why, with the value seen; empty where the message says it all.
    pub(crate) reason: String,
    /// What to do: commands or settings, the most likely last.
    pub(crate) advice: Vec<String>,
}

impl Problem {
    /// A failure without a reason or advice yet.
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            exit,
            code: code.into(),
            message: message.into(),
            reason: String::new(),
            advice: Vec::new(),
        }
    }

    /// Wrong use: exit 2, nothing was done.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// The machine refused: a file, a pipe, a terminal.
    pub(crate) fn io(message: impl Into<String>, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            std::io::ErrorKind::AlreadyExists => Exit::Conflict,
            _ => Exit::Other,
        };
        Self::new(exit, "io", message).because(error.to_string())
    }

    /// Adds why.
    pub(crate) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Adds one thing to do.
    pub(crate) fn fix(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// Prints it to stderr. A stderr that is closed changes nothing: the exit code tells.
    pub(crate) fn report(&self, format: Format) {
        let text = match format {
            Format::Json | Format::Yaml => self.json(&take_notes()),
            Format::Text => self.text(),
        };
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    /// One object and nothing beside it: what was told before on the side stands in it.
    fn json(&self, notes: &[String]) -> String {
        let shown = WithNotes { problem: self, notes };
        serde_json::to_string(&shown).expect("text fields have no way not to serialise") + "\n"
    }

    fn text(&self) -> String {
        let mut text = format!("error[{}]: {}\n", self.code, escape(&self.message));
        if !self.reason.is_empty() {
            text += &format!("  reason  {}\n", escape(&self.reason));
        }
        for advice in &self.advice {
            text += &format!("  fix     {}\n", escape(advice));
        }
        text
    }
}

#[derive(Serialize)]
struct WithNotes<'a> {
    #[serde(flatten)]
    problem: &'a Problem,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
}

impl From<kms::manager::Error> for Problem {
    fn from(error: kms::manager::Error) -> Self {
        Failure::from(error).into()
    }
}

/// The same, whether it was refused in this process or by the daemon.
impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let Failure { kind, code, detail, reason, advice, .. } = failure;
        let (message, reason) = (detail.into(), reason.into());
        Self { exit: kind.into(), code, message, reason, advice }
    }
}

/// What is told on the side, held back where a failure must be the only thing on stderr.
static NOTES: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Holds back what is told on the side, until [`release_notes`] or a problem's report, where
/// `format` is for programs: there stderr carries one object when something fails.
pub(crate) fn hold_notes_for(format: Format) {
    match format {
        Format::Json | Format::Yaml => {
            let mut notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = notes.get_or_insert_default();
        }
        Format::Text => release_notes(),
    }
}

/// Tells what was held back.
pub(crate) fn release_notes() {
    for note in take_notes() {
        write_line(&note);
    }
}

fn take_notes() -> Vec<String> {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
}

/// Tells something worth knowing that stops nothing, on stderr.
pub(crate) fn warn(message: &str) {
    say(&format!("warning: {message}"));
}

/// Tells that something was done, on stderr: stdout carries data only.
pub(crate) fn say(message: &str) {
    match NOTES.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        Some(notes) => notes.push(message.to_owned()),
        None => write_line(message),
    }
}

fn write_line(message: &str) {
    let line = format!("{}\n", escape(message));
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Problem {
        Problem::new(Exit::NotFound, "key_not_found", "no key is named `vall`")
            .because("3 keys are there")
            .fix("virtengine keys list")
            .fix("virtengine keys show val")
    }

    #[test]
    fn text_ends_with_what_to_do() {
        let expected = "error[key_not_found]: no key is named `vall`\n  reason  3 keys are there\n  \
                        fix     virtengine keys list\n  fix     virtengine keys show val\n";
        assert_eq!(sample().text(), expected);
    }

    #[test]
    fn json_is_one_line_with_all_four_fields() {
        let expected = "{\"code\":\"key_not_found\",\"message\":\"no key is named `vall`\",\
                        \"reason\":\"3 keys are there\",\
                        \"advice\":[\"virtengine keys list\",\"virtengine keys show val\"]}\n";
        assert_eq!(sample().json(&[]), expected);
        let noted = sample().json(&["warning: x".to_owned()]);
        assert!(noted.ends_with(",\"notes\":[\"warning: x\"]}\n"), "{noted}");
    }

    #[test]
    fn control_characters_cannot_reach_the_terminal() {
        let text = Problem::usage("bad \u{1b}[2Jname\nerror: fake").text();
        assert_eq!(text, "error[usage]: bad \\u{1b}[2Jname\\nerror: fake\n");
    }
}
