//! The settings of the log and the names of its files.

use std::path::Path;
use std::path::PathBuf;

use crate::audit::AuditFault;

/// Smallest `max_file_size`, in bytes.
pub const MIN_FILE_BYTES: u64 = 4 * 1024;

/// The settings of the log, under the specification's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLogConfig {
    /// Where: `DIR/audit.log` means `DIR/audit-000001.log`, `DIR/audit-000002.log` and so on.
    pub log_file: PathBuf,
    /// Length at which the next file is begun, in bytes; at least [`MIN_FILE_BYTES`].
    pub max_file_size: u64,
    /// Must be true. The chain costs a third of a microsecond a record and everything else rests
    /// on it, so it cannot be switched off.
    pub enable_chaining: bool,
    /// Whether a record is on the disk before what it is about is released. `false` is for
    /// development homes.
    pub sync_writes: bool,
}

impl AuditLogConfig {
    /// The specification's defaults: 100 MiB a file, chained, synced.
    pub fn new(log_file: impl Into<PathBuf>) -> Self {
        let log_file = log_file.into();
        Self {
            log_file,
            max_file_size: 100 * 1024 * 1024,
            enable_chaining: true,
            sync_writes: true,
        }
    }

    /// The names of the files; checks the settings.
    pub(crate) fn check(&self, development: bool) -> Result<Names, AuditFault> {
        let setting = |why: String| Err(AuditFault::Setting(why));
        if !self.enable_chaining {
            return setting("enable_chaining = false: the chain cannot be switched off".to_owned());
        }
        if !self.sync_writes && !development {
            return setting("sync_writes = false is for development homes only".to_owned());
        }
        if self.max_file_size < MIN_FILE_BYTES {
            let got = self.max_file_size;
            return setting(format!("max_file_size is {got} bytes, at least {MIN_FILE_BYTES}"));
        }
        Names::of(&self.log_file)
    }
}

/// The names of the files of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    dir: PathBuf,
    stem: String,
}

impl Names {
    /// Of the log that is configured as `log_file`.
    pub(crate) fn of(log_file: &Path) -> Result<Self, AuditFault> {
        let dir = log_file.parent().filter(|dir| dir.is_absolute());
        let name = log_file.file_name().and_then(|name| name.to_str());
        match (dir, name.and_then(|name| name.strip_suffix(".log"))) {
            (Some(dir), Some(stem)) if !stem.is_empty() => {
                Ok(Self { dir: dir.to_owned(), stem: stem.to_owned() })
            }
            _ => {
                let shown = log_file.display();
                let why = format!("log_file is `{shown}`, expected an absolute path to a .log");
                Err(AuditFault::Setting(why))
            }
        }
    }

    /// Of the log with the file names `STEM-000001.log` in `dir`.
    pub(crate) fn in_dir(dir: &Path, stem: &str) -> Self {
        Self { dir: dir.to_owned(), stem: stem.to_owned() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file name of segment `number`, without directory.
    pub(crate) fn segment_name(&self, number: u32) -> String {
        format!("{}-{number:06}.log", self.stem)
    }

    pub(crate) fn segment(&self, number: u32) -> PathBuf {
        self.dir.join(self.segment_name(number))
    }

    /// Where the `n`-th half-written line of a segment is set aside.
    pub(crate) fn torn(&self, number: u32, n: u32) -> PathBuf {
        self.dir.join(format!("{}.torn-{n}", self.segment_name(number)))
    }

    /// The signed notes, one after the other.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    /// The tree's right edge at some checkpoint: saves reading all at a start, proves nothing.
    pub(crate) fn frontier(&self) -> PathBuf {
        self.dir.join("frontier")
    }

    /// The verifier of the checkpoints, for whoever has nothing better.
    pub(crate) fn verifier(&self) -> PathBuf {
        self.dir.join("audit.pub")
    }

    /// The number of the segment that `file_name` names, if it names one of this log.
    pub(crate) fn number(&self, file_name: &str) -> Option<u32> {
        let (stem, number) = parse(file_name)?;
        (stem == self.stem).then_some(number)
    }
}

/// Stem and number of a segment's file name.
pub(crate) fn parse(file_name: &str) -> Option<(&str, u32)> {
    let (stem, digits) = file_name.strip_suffix(".log")?.rsplit_once('-')?;
    let spelled = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse().ok().filter(|&number| number > 0)?;
    (spelled && !stem.is_empty()).then_some((stem, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_name_is_honoured() {
        let config = AuditLogConfig::new("/var/log/virtengine/keymanagement.audit.log");
        let names = config.check(false).unwrap();
        let first = Path::new("/var/log/virtengine/keymanagement.audit-000001.log");
        assert_eq!(names.segment(1), first);
        assert_eq!(names.number("keymanagement.audit-000012.log"), Some(12));
        for other in ["audit-000001.log", "keymanagement.audit-1.log", "keymanagement.audit.log"] {
            assert_eq!(names.number(other), None, "{other}");
        }
    }

    #[test]
    fn settings_that_would_weaken_the_log_are_refused() {
        let good = AuditLogConfig::new("/a/audit.log");
        let refused = |config: &AuditLogConfig, development| match config.check(development) {
            Err(AuditFault::Setting(why)) => why,
            other => panic!("{other:?}"),
        };
        let unchained = AuditLogConfig { enable_chaining: false, ..good.clone() };
        assert!(refused(&unchained, true).contains("cannot be switched off"));
        let unsynced = AuditLogConfig { sync_writes: false, ..good.clone() };
        assert!(refused(&unsynced, false).contains("development"));
        assert!(unsynced.check(true).is_ok());
        let tiny = AuditLogConfig { max_file_size: 4095, ..good.clone() };
        assert!(refused(&tiny, true).contains("4095 bytes, at least 4096"));
        for path in ["audit.log", "/a/audit.txt", "/a/.log", "/"] {
            assert!(refused(&AuditLogConfig::new(path), true).contains("absolute path"), "{path}");
        }
    }
}
