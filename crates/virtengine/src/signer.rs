//! The remote signer of the configuration's `[[validator]]` sections, which runs with the daemon.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use kms::key::KeyRef;
use kms::manager::KeyManager;
use kms::manager::Node;
use kms_secret::SecretBytes;
use kms_server::journal;
use kms_server::journal::Level;
use kms_validator::Connection;
use kms_validator::Event;
use kms_validator::Identity;
use kms_validator::Signer;
use kms_validator::Status;
use kms_validator::signer::Listener;
use kms_validator::status::LATENCY_BOUNDS_US;

use crate::config::sections::Validator;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::secrets;

/// A seed of 32 bytes as hex digits, and a line feed.
const SEED_FILE_LIMIT: usize = 128;

/// Starts the signer, of as many connections as are configured: none is none.
///
/// # Errors
/// When a key is not here, or a connection's identity cannot be read or made.
pub(crate) fn start(
    kms: &Arc<KeyManager>,
    home: &Path,
    sections: &[Validator],
) -> Result<Signer, Problem> {
    let connections = sections.iter().map(|section| connection(kms, home, section));
    let connections = connections.collect::<Result<Vec<_>, Problem>>()?;
    let listener: Listener = Arc::new(tell);
    let signer = Signer::start(kms, connections, &listener);
    signer.map_err(|e| Problem::io("the signer does not start".to_owned(), &e))
}

fn connection(kms: &KeyManager, home: &Path, section: &Validator) -> Result<Connection, Problem> {
    let key = kms.key_id(&section.key).ok_or_else(|| missing(&section.key))?;
    Ok(Connection {
        node: Node { name: section.name(), key, chain: section.chain_id.clone() },
        address: section.address.clone(),
        dialect: section.dialect,
        identity: identity(home, section)?,
        peer_uid: section.peer_uid,
    })
}

fn missing(key: &KeyRef) -> Problem {
    Problem::new(Exit::NotFound, "key_not_found", format!("validator.key {key} is not here"))
        .fix("see what is there: virtengine keys list")
}

/// Who this connection is to its node: a key of its own, in a file that is made when it is first
/// needed.
///
/// # Errors
/// When the file cannot be read or made.
pub(crate) fn identity(home: &Path, section: &Validator) -> Result<Identity, Problem> {
    let path = home.join("state").join(format!("{}.identity", section.file_name()));
    let fault = |e: std::io::Error| Problem::io(format!("cannot make {}", path.display()), &e);
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            let seed = random_seed()?;
            file.write_all(seed.to_hex().expose()).and_then(|()| file.sync_all()).map_err(fault)?;
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(fault(e)),
    }
    let text = secrets::file(&path, SEED_FILE_LIMIT)?;
    let seed = SecretBytes::from_hex(text.expose());
    seed.and_then(|seed| Identity::from_seed(&seed).ok()).ok_or_else(|| {
        let what = format!("{} is no connection's identity", path.display());
        Problem::new(Exit::Integrity, "identity_invalid", what)
            .fix("remove it, and another is made at the next start")
    })
}

fn random_seed() -> Result<SecretBytes, Problem> {
    let mut seed = [0; 32];
    let filled = aws_lc_rs::rand::fill(&mut seed);
    filled
        .map_err(|_| Problem::new(Exit::Other, "no_random", "the system gives no random bytes"))?;
    Ok(SecretBytes::take(&mut seed))
}

/// What each connection did, in Prometheus's text form.
pub(crate) fn metrics(signer: &Signer) -> String {
    let all = signer.status();
    let mut text = String::new();
    if all.is_empty() {
        return text;
    }
    for (name, kind, help, value) in SERIES {
        _ = writeln!(text, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
        for status in &all {
            let connection = escaped(&status.name);
            for (end, label, value) in value(status) {
                let labels = format!("{{connection=\"{connection}\"{label}}}");
                _ = writeln!(text, "{PREFIX}{name}{end}{labels} {value}");
            }
        }
    }
    text
}

const PREFIX: &str = "virtengine_kms_validator_";

/// The end of a series' name, further labels, and the value.
type Values = Vec<(&'static str, String, String)>;
type Series = (&'static str, &'static str, &'static str, fn(&Status) -> Values);

const SERIES: [Series; 7] = [
    ("connected", "gauge", "Whether the node is connected.", |status| {
        one(u8::from(status.connected))
    }),
    ("connects_total", "counter", "How often it was connected to.", |status| one(status.connects)),
    ("last_signed_height", "gauge", "The height that was signed last.", |status| {
        status.last_signed.map(|(height, ..)| one(height)).unwrap_or_default()
    }),
    ("last_signed_round", "gauge", "The round that was signed last.", |status| {
        status.last_signed.map(|(_, round, _)| one(round)).unwrap_or_default()
    }),
    ("signed_total", "counter", "Signatures that left, by step.", |status| {
        by("step", &status.signed)
    }),
    ("refused_total", "counter", "Requests that were refused, by code.", |status| {
        by("code", &status.refused)
    }),
    ("sign_duration_seconds", "histogram", "From the request to the answer.", durations),
];

fn one(value: impl std::fmt::Display) -> Values {
    vec![("", String::new(), value.to_string())]
}

fn by(label: &str, counts: &BTreeMap<&'static str, u64>) -> Values {
    let labelled =
        |(name, count): (&&str, &u64)| ("", format!(",{label}=\"{name}\""), count.to_string());
    counts.iter().map(labelled).collect()
}

/// A histogram's buckets, each with those below it.
fn durations(status: &Status) -> Values {
    let bounds = LATENCY_BOUNDS_US.iter().map(|bound| (*bound as f64 / 1e6).to_string());
    let mut below = 0;
    let mut values: Values = bounds
        .chain(["+Inf".to_owned()])
        .zip(status.latency)
        .map(|(bound, count)| {
            below += count;
            ("_bucket", format!(",le=\"{bound}\""), below.to_string())
        })
        .collect();
    let sum = status.latency_sum_us as f64 / 1e6;
    values.push(("_sum", String::new(), sum.to_string()));
    values.push(("_count", String::new(), below.to_string()));
    values
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What an operator should hear of at once.
fn tell(event: &Event) {
    let (level, message, fields): (_, _, Vec<(&str, &str)>) = match event {
        Event::Connected { name, peer } => {
            (Level::Info, "validator connected", vec![("connection", name), ("peer", peer)])
        }
        Event::PeerChanged { name, before, now } => (
            Level::Warning,
            "another node answers than before: make sure that it is yours",
            vec![("connection", name), ("before", before), ("peer", now)],
        ),
        Event::Disconnected { name, why } => {
            (Level::Warning, "validator not connected", vec![("connection", name), ("why", why)])
        }
        Event::Refused { name, code, why } => (
            Level::Error,
            "refused to sign",
            vec![("connection", name), ("code", code), ("why", why)],
        ),
    };
    journal::line(level, message, &fields);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_the_histogram_add_up() {
        let mut status =
            Status { name: "n".to_owned(), latency_sum_us: 1_500_000, ..Status::default() };
        (status.latency[0], status.latency[10]) = (3, 2);
        let values = durations(&status);
        let of = |at: usize| (values[at].0, &*values[at].1, &*values[at].2);
        assert_eq!(of(0), ("_bucket", ",le=\"0.0001\"", "3"));
        assert_eq!(of(9), ("_bucket", ",le=\"1\"", "3"));
        assert_eq!(of(10), ("_bucket", ",le=\"+Inf\"", "5"));
        assert_eq!((of(11), of(12)), (("_sum", "", "1.5"), ("_count", "", "5")));
    }

    #[test]
    fn names_of_connections_cannot_end_a_label() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
