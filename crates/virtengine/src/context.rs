//! What every command has at hand: where the home is, how to write, what was configured.

use std::path::Path;
use std::path::PathBuf;

use kms::manager::Options;
use kms::time::Clock;
use kms::time::SystemClock;
use kms::time::Timestamp;

use crate::cli::global::Global;
use crate::config;
use crate::config::Loaded;
use crate::output;
use crate::output::Format;
use crate::problem::Problem;
use crate::problem::hold_notes_for;

/// What tells this machine from others (machine-id(5)).
const MACHINE_ID: &str = "/etc/machine-id";

/// What every command has at hand.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The options of every command.
    pub(crate) global: &'a Global,
    /// The home.
    pub(crate) home: PathBuf,
    /// How data is written.
    pub(crate) format: Format,
    /// The configuration.
    pub(crate) loaded: Loaded,
}

impl<'a> Context<'a> {
    /// Finds the home and reads its configuration; `format` becomes what is in effect.
    ///
    /// # Errors
    /// When there is no home directory to derive a default from, or the configuration is invalid.
    pub(crate) fn new(global: &'a Global, format: &mut Format) -> Result<Self, Problem> {
        let home = home(global)?;
        let home = std::path::absolute(&home)
            .map_err(|e| Problem::io(format!("{} is no path", home.display()), &e))?;
        let loaded = config::load(&home)?;
        *format = global.output.unwrap_or(loaded.config.output);
        hold_notes_for(*format);
        Ok(Self { global, home, format: *format, loaded })
    }

    /// How the home is to be opened.
    ///
    /// # Errors
    /// When the session settings contradict each other.
    pub(crate) fn options(&self) -> Result<Options, Problem> {
        let config = &self.loaded.config;
        let session = config.session.policy();
        Ok(Options {
            audit: Some(config.audit.log(&self.home)),
            session: session
                .map_err(|why| Problem::usage("the session settings are invalid").because(why))?,
            policies: config.policy.clone(),
            accept_clock: self.global.accept_clock,
            machine_id: std::fs::read_to_string(MACHINE_ID).ok(),
            storages: crate::hsm::storages(config)?,
            ..Options::new(&self.home)
        })
    }

    /// The socket of the home's own daemon.
    pub(crate) fn socket(&self) -> PathBuf {
        let configured = self.loaded.config.server.unix.as_deref();
        self.home.join(configured.unwrap_or(Path::new("kms.sock")))
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Where the files of the audit log are.
    pub(crate) fn audit_dir(&self) -> PathBuf {
        let configured = self.loaded.config.audit.log_file.as_deref().and_then(Path::parent);
        self.home.join(configured.unwrap_or(Path::new("audit"))) // an absolute path stays itself
    }

    /// Writes data: `value` for programs, or what `text` makes for people.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn data<T: serde::Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Problem> {
        output::data(self.format, value, text)
    }
}

/// The home: `--home`, `VIRTENGINE_HOME`, or `.virtengine` in the user's directory.
///
/// # Errors
/// When none of them is known.
pub(crate) fn home(global: &Global) -> Result<PathBuf, Problem> {
    if let Some(home) = &global.home {
        return Ok(home.clone());
    }
    let user = std::env::var_os("HOME").filter(|user| Path::new(user).is_absolute());
    user.map(|user| Path::new(&user).join(".virtengine")).ok_or_else(|| {
        Problem::usage("no home is known").because("HOME is not set").fix("add --home DIR")
    })
}
