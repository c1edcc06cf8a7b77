//! What `dev` prints: each step as it happens for people, one document at the end for programs.

use std::path::PathBuf;

use kms_secret::SecretBytes;
use serde::Serialize;

use crate::commands::dev::home::ADMIN;
use crate::commands::dev::home::ThrowAway;
use crate::output;
use crate::output::Format;
use crate::output::secret::SecretText;
use crate::output::text::escape;
use crate::problem::Problem;

/// The steps so far.
pub(crate) struct Show {
    format: Format,
    title: String,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    part: String,
    step: String,
    result: String,
}

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    home: PathBuf,
    admin: &'static str,
    passphrase_file: PathBuf,
    steps: &'a [Step],
    next: Vec<String>,
}

impl Show {
    /// Nothing yet.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, title: String::new(), steps: Vec::new() }
    }

    /// Begins a part.
    pub(crate) fn title(&mut self, title: &str) {
        title.clone_into(&mut self.title);
    }

    /// Shows a step and what came of it.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn step(&mut self, step: &str, result: &str) -> Result<(), Problem> {
        let begins = self.steps.last().is_none_or(|last| last.part != self.title);
        let heading = if begins { format!("\n{}\n", self.title) } else { String::new() };
        let (part, step, result) = (self.title.clone(), step.to_owned(), result.to_owned());
        if self.format == Format::Text {
            let line = format!("{heading}  {}: {}\n", escape(&step), escape(&result));
            output::bytes(line.as_bytes())?;
        }
        self.steps.push(Step { part, step, result });
        Ok(())
    }

    /// Shows the passphrase, once, to people.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn passphrase(&self, passphrase: &SecretBytes) -> Result<(), Problem> {
        if self.format != Format::Text {
            return Ok(());
        }
        SecretText::default().add("  passphrase: ").secret(passphrase).add("\n").write()
    }

    /// Ends with what to try next.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn end(&self, home: &ThrowAway) -> Result<(), Problem> {
        let document = Document {
            ok: true,
            home: home.home(),
            admin: ADMIN,
            passphrase_file: home.passphrase_file(),
            steps: &self.steps,
            next: next(home),
        };
        output::data(self.format, &document, || {
            let commands: String = document.next.iter().map(|line| format!("  {line}\n")).collect();
            format!("\nTry next\n{commands}\nThe home stays until you remove its directory.\n")
        })
    }
}

fn next(home: &ThrowAway) -> Vec<String> {
    let options = format!(
        "--home {} --passphrase-file {}",
        home.home().display(),
        home.passphrase_file().display()
    );
    vec![
        format!("virtengine keys list {options}"),
        format!("echo hello | virtengine sign account --in - {options}"),
        format!("virtengine audit log {options}"),
    ]
}
