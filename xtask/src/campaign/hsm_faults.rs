//! Every fault at every call: a token's day is run again and again, each time with one thing going
//! wrong at one call of the library, and afterwards the token is held against what was said of it.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use kms::key::Algorithm;
use kms::key::Scheme;
use kms_formats::private::PrivateKey;
use kms_pkcs11::HsmError;
use kms_pkcs11::HsmKeyHandle;
use kms_pkcs11::HsmProvider;
use kms_pkcs11::HsmProviderConfig;
use kms_pkcs11::Timeouts;
use kms_secret::SecretBytes;

use super::Plan;
use super::Size;
use super::Tally;
use super::skipped;
use crate::hsm;
use crate::shell::Outcome;
use crate::shell::cargo;
use crate::shell::root;
use crate::shell::step;

/// What goes wrong: a name, and the script with `N` for the call and `M` for ten calls later.
const FAULTS: [(&str, &str); 11] = [
    ("session lost", "* N error 0xb3"),
    ("session closed", "* N error 0xb0"),
    ("removed and back", "* N-M error 0x32"),
    ("done and never said", "* N after 0x32"),
    ("another key", "* N other-key"),
    ("slow", "* N delay 40"),
    ("hung", "* N hang"),
    ("crashed", "* N crash"),
    ("full", "* N error 0x31"),
    ("PIN locked", "* N error 0xa4"),
    ("wrong signature", "* N corrupt"),
];
/// In CI so many positions are left out after each that is tried.
const CI_STRIDE: usize = 23;
/// A token that is back is to be found so soon.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// The same in CI, where everything runs at once and speed proves nothing.
const CI_BACK_WITHIN: Duration = Duration::from_secs(60);
/// What is found under it, and signed with it, is counted.
const MESSAGE: (&[u8], Scheme) =
    (b"on any day", Scheme { prehash: kms::key::Prehash::Sha256, padding: kms::key::Padding::Pss });

pub(super) fn run(plan: Plan) -> Outcome<Option<Tally>> {
    let Some(library) = hsm::softhsm() else {
        return skipped("SoftHSM 2 is missing: apt-get install softhsm2");
    };
    let module = fault_module()?;
    let (stride, back_within) = match plan.size {
        Size::Ci => (CI_STRIDE, CI_BACK_WITHIN),
        Size::Full => (1, BACK_WITHIN),
    };
    let calls = Bench::new((&library, &module), back_within)?.count_calls()?;
    let mut tally = Tally::default();
    let mut round = 0;
    for (at, (name, script)) in FAULTS.iter().enumerate() {
        // Another offset for each fault, so that even a small run looks everywhere.
        for call in (1 + at % stride..=calls).step_by(stride) {
            round += 1;
            if round <= plan.from {
                continue;
            }
            let bench = Bench::new((&library, &module), back_within)?;
            let script = script.replace('N', &call.to_string());
            let script = script.replace('M', &(call + 10).to_string());
            let (signed, losses) = bench.day(&script)?;
            tally.add(&format!("round {round}, {name} at call {call}"), signed, losses);
        }
    }
    Ok(Some(tally))
}

/// Builds the module that makes another fail; where it is.
pub(super) fn fault_module() -> Outcome<PathBuf> {
    step("the module that fails", &mut cargo(["build", "--quiet", "--package", "pkcs11-fault"]))?;
    let module = root().join("target/debug/libpkcs11_fault.so");
    if module.exists() { Ok(module) } else { Err(format!("{} is missing", module.display())) }
}

/// How a token behind the failing module is reached; `script` is its script.
pub(super) fn behind(
    config: HsmProviderConfig,
    (module, script): (&Path, &Path),
) -> HsmProviderConfig {
    let mut environment = config.environment.clone();
    let real = config.library_path.display().to_string();
    environment.push(("PKCS11_FAULT_MODULE".to_owned(), real));
    environment.push(("PKCS11_FAULT_SCRIPT".to_owned(), script.display().to_string()));
    let timeouts = Timeouts {
        start: Duration::from_secs(2),
        operation: Duration::from_secs(2),
        generate: Duration::from_secs(2),
        recovery: Duration::from_secs(2),
    };
    HsmProviderConfig { library_path: module.to_owned(), environment, timeouts, ..config }
}

/// A token of one round.
struct Bench {
    directory: tempfile::TempDir,
    config: HsmProviderConfig,
    script: PathBuf,
    back_within: Duration,
}

impl Bench {
    fn new((library, module): (&Path, &Path), back_within: Duration) -> Outcome<Self> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let script = directory.path().join("script");
        let config = hsm::token(directory.path(), library)?;
        std::fs::write(&script, "").map_err(|error| error.to_string())?;
        let config = behind(config, (module, &script));
        Ok(Self { directory, config, script, back_within })
    }

    /// How many calls a day without a fault has.
    fn count_calls(&self) -> Outcome<usize> {
        let (signed, losses) = self.day("")?;
        if signed != 5 || !losses.is_empty() {
            return Err(format!("a day without a fault had {signed} signatures and {losses:?}"));
        }
        let counted = std::fs::metadata(self.script.with_extension("all"));
        Ok(usize::try_from(counted.map_err(|error| error.to_string())?.len()).unwrap_or(0))
    }

    /// One day: what was signed, and what is not as it was said to be.
    fn day(&self, script: &str) -> Outcome<(usize, Vec<String>)> {
        let provider = HsmProvider::new(self.config.clone(), hsm::worker());
        let mut day = Day { provider: &provider, signed: 0, losses: Vec::new() };
        std::fs::write(&self.script, script).map_err(|error| error.to_string())?;
        let made = provider.generate_key("made", Algorithm::P256);
        for _ in 0..3 {
            day.sign(made.as_ref().ok());
        }
        let seed =
            PrivateKey { algorithm: Algorithm::Ed25519, bytes: SecretBytes::copy_from(&[7; 32]) };
        let taken = provider.import_key("taken", &seed);
        day.sign(taken.as_ref().ok());
        let removed = taken.as_ref().ok().map(|_| provider.delete_key("taken"));
        day.sign(made.as_ref().ok());
        let signed = day.signed;
        if script.is_empty() {
            return Ok((signed, day.losses));
        }
        std::fs::write(&self.script, "").map_err(|error| error.to_string())?;
        // The fault is over. A PIN that was refused, or whose trying nobody answered, is not tried
        // again by this provider: as if the configuration were loaded anew, another goes on.
        let pin_refused = provider.list_keys().is_err_and(|error| is_about_the_pin(&error));
        let fresh = HsmProvider::new(self.config.clone(), hsm::worker());
        let provider = if pin_refused { &fresh } else { &provider };
        let mut after = Day { provider, signed: 0, losses: day.losses };
        after.is_back_within(self.back_within);
        after.holds("made", made.as_ref().ok(), made.is_err());
        match removed {
            Some(Ok(())) => after.is_gone("taken"),
            Some(Err(_)) => after.holds("taken", None, true),
            None => after.holds("taken", None, true),
        }
        let _ = &self.directory;
        Ok((signed + after.signed, after.losses))
    }
}

struct Day<'a> {
    provider: &'a HsmProvider,
    signed: usize,
    losses: Vec<String>,
}

impl Day<'_> {
    /// Signs, and holds what comes back against the public half.
    fn sign(&mut self, key: Option<&HsmKeyHandle>) {
        let Some(key) = key else { return };
        match self.provider.sign(key, MESSAGE) {
            Ok(signature) if self.provider.verify(key, MESSAGE, &signature.bytes) => {
                self.signed += 1
            }
            Ok(_) => self.losses.push(format!("a wrong signature of `{}` left", key.label)),
            Err(_) => {}
        }
    }

    /// Whether the token serves again in time, by itself.
    fn is_back_within(&mut self, limit: Duration) {
        let started = Instant::now();
        while let Err(error) = self.provider.list_keys() {
            if started.elapsed() > limit {
                self.losses.push(format!("not back after {limit:?}: {error}"));
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether a key is there once, and signs; or not at all, where it may be missing.
    fn holds(&mut self, label: &str, key: Option<&HsmKeyHandle>, may_be_missing: bool) {
        match self.provider.get_key(label) {
            Ok(found) => {
                if key.is_some_and(|key| *key != found) {
                    self.losses.push(format!("`{label}` is another key now"));
                }
                let before = self.signed;
                self.sign(Some(&found));
                if self.signed == before {
                    self.losses.push(format!("`{label}` does not sign any more"));
                }
            }
            Err(HsmError::NotFound(_)) if may_be_missing => {}
            Err(error) => self.losses.push(format!("`{label}`: {error}")),
        }
    }

    fn is_gone(&mut self, label: &str) {
        match self.provider.get_key(label) {
            Err(HsmError::NotFound(_)) => {}
            Ok(_) => self.losses.push(format!("`{label}` was removed and is there")),
            Err(error) => self.losses.push(format!("`{label}`: {error}")),
        }
    }
}

fn is_about_the_pin(error: &HsmError) -> bool {
    matches!(error, HsmError::Device(error) if error.kind == kms::storage::DeviceErrorKind::Pin)
}
