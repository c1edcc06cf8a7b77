//! `virtengine audit …`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use kms::audit::EventType;
use kms::audit::Head;
use kms::key::KeyRef;
use kms::time::Timestamp;

/// The audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show records
    Log(LogArgs),
    /// Verify the log files: chain, tree, checkpoints (exit 8: not valid)
    ///
    /// With --dir it needs no home, no lock and no passphrase: an auditor's command.
    Verify(VerifyArgs),
    /// Show size and root of the log, to be kept elsewhere
    Head,
    /// Count events and failures since a moment
    Report(SinceArgs),
    /// Write the records out
    Export(ExportArgs),
    /// Sign the present size and root
    Checkpoint,
}

/// `audit log`.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Only records of this key
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<KeyRef>,
    /// Only records of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event: Option<EventType>,
    /// Only records from this moment on, or of the last days (30d) or hours (12h)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Since>,
    /// At most so many, the latest
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// A moment, said absolutely or backwards from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// A moment.
    At(Timestamp),
    /// So many seconds before now.
    SecondsAgo(u64),
}

impl Since {
    /// The moment, seen from `now`.
    pub(crate) fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::SecondsAgo(seconds) => {
                let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
                Timestamp::from_micros(now.micros().saturating_sub(micros))
            }
        }
    }
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ago = |suffix: char, seconds: u64| {
            let number: u64 = text.strip_suffix(suffix)?.parse().ok()?;
            number.checked_mul(seconds).map(Self::SecondsAgo)
        };
        let ago = ago('d', 86_400).or_else(|| ago('h', 3_600)).or_else(|| ago('m', 60));
        let day = || format!("{text}T00:00:00Z").parse::<Timestamp>();
        ago.or_else(|| text.parse().or_else(|_| day()).ok().map(Self::At))
            .ok_or_else(|| "a time is like 2026-11-23T21:45:00Z, 2026-11-23, 30d or 12h".to_owned())
    }
}

/// `audit verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Verify the log files in this directory, without a home
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// The public key the checkpoints must be signed with
    #[arg(long, value_name = "PUB")]
    pub(crate) audit_key: Option<String>,
    /// Size and root the log must still contain, as `audit head` gave them
    #[arg(long, value_name = "SIZE:ROOT")]
    pub(crate) expect_head: Option<Head>,
}

/// Since when.
#[derive(Debug, Args)]
pub(crate) struct SinceArgs {
    /// From this moment on, or the last days (30d) or hours (12h)
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub(crate) since: Since,
}

/// `audit export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The form
    #[arg(long, default_value = "jsonl")]
    pub(crate) format: ExportForm,
    /// Write to this file instead of stdout; it must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Forms of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// The records as they stand, one JSON object a line
    Jsonl,
    /// A table for spreadsheets; formulas are made harmless
    Csv,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_read_absolutely_and_backwards() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let seen = |text: &str| text.parse::<Since>().map(|s| s.seen_from(now).to_string());
        assert_eq!(seen("2026-11-23T13:00:00+02:00").unwrap(), "2026-11-23T11:00:00.000000Z");
        assert_eq!(seen("2026-11-01").unwrap(), "2026-11-01T00:00:00.000000Z");
        assert_eq!(seen("12h").unwrap(), "2026-11-23T00:00:00.000000Z");
        assert_eq!(seen("99999999999d").unwrap(), "1970-01-01T00:00:00.000000Z");
        assert!(seen("18446744073709551615d").is_err());
        assert!(seen("soon").is_err());
    }
}
