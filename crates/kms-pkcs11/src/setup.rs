//! Initialising a token: everything on it is gone then.

use kms::storage::DeviceError;
use kms_secret::SecretBytes;

use crate::config::HsmProviderConfig;
use crate::error;
use crate::error::HsmError;
use crate::library;
use crate::process::Lost;
use crate::process::Process;
use crate::process::WorkerProgram;
use crate::slots::SlotSeen;
use crate::wire::Failure;
use crate::wire::FailureKind;
use crate::wire::SlotInfo;
use crate::wire::Step;
use crate::wire::Stepped;

/// A label has at most so many bytes (`CK_TOKEN_INFO`).
const LABEL_LIMIT: usize = 32;

/// A token that is wanted.
#[derive(Debug)]
pub struct NewToken<'a> {
    /// Its label, 1 to 32 bytes.
    pub label: &'a str,
    /// The security officer's PIN, for administration alone.
    pub so_pin: &'a SecretBytes,
    /// The user's PIN.
    pub pin: &'a SecretBytes,
    /// Whether a token that is initialised already, with all its keys, is to be erased.
    pub erase: bool,
}

impl HsmProviderConfig {
    /// Initialises a token in the configured slot, or in the first that holds none yet; returns where
    /// it is then, which need not be where it was made.
    ///
    /// # Errors
    /// When a token of this label is there already, when the slot holds one and `erase` is not said, or
    /// what the library says.
    pub fn init_token(
        &self,
        program: &WorkerProgram,
        new: &NewToken<'_>,
    ) -> Result<SlotSeen, HsmError> {
        check_label(new.label)?;
        let setup = Setup::start(self, program)?;
        let slots = setup.slots()?;
        let slot = free_slot(&slots, self, new)?;
        let label = new.label.to_owned();
        setup.run(&Step::InitToken { slot, label }, Some(new.so_pin))?;
        // The slot may have another number now: it is found by its label.
        let slots = setup.slots()?;
        let made = slots.iter().find(|seen| seen.initialized && seen.label == new.label);
        let made = made.ok_or_else(|| lost(new.label))?;
        let both = SecretBytes::copy_from(&[new.so_pin.expose(), new.pin.expose()].concat());
        let so_pin_bytes = u32::try_from(new.so_pin.len()).unwrap_or(u32::MAX);
        setup.run(&Step::InitPin { slot: made.id, so_pin_bytes }, Some(&both))?;
        let slots = setup.slots()?;
        let made = slots.iter().find(|seen| seen.initialized && seen.label == new.label);
        Ok(made.ok_or_else(|| lost(new.label))?.into())
    }

    /// The slots there are, without logging in anywhere.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn see_slots(&self, program: &WorkerProgram) -> Result<Vec<SlotSeen>, HsmError> {
        let setup = Setup::start(self, program)?;
        Ok(setup.slots()?.iter().map(SlotSeen::from).collect())
    }
}

/// A worker for administration: nobody logs in as a user.
struct Setup<'a> {
    config: &'a HsmProviderConfig,
    process: Process,
}

impl<'a> Setup<'a> {
    fn start(config: &'a HsmProviderConfig, program: &WorkerProgram) -> Result<Self, HsmError> {
        let path = library::check(&config.library_path)?.display().to_string();
        let process = Process::start(program, &config.environment)
            .map_err(|error| error::unavailable(format!("a process does not start: {error}")))?;
        let setup = Self { config, process };
        setup.run(&Step::Load { path }, None)?;
        setup.run(&Step::Initialize, None)?;
        Ok(setup)
    }

    fn run(&self, step: &Step, secret: Option<&SecretBytes>) -> Result<Stepped, HsmError> {
        let limit = self.config.timeouts.generate;
        let outcome = match self.process.step(step, secret, limit) {
            Ok(outcome) => outcome,
            Err(Lost::TimedOut(limit)) => Err(trouble(format!("no answer within {limit:?}"))),
            Err(Lost::Gone(error)) => Err(trouble(error.to_string())),
            Err(Lost::Busy) => Err(trouble("it is in use".to_owned())),
        };
        outcome.map_err(|failure| error::of_failure(&self.config.name, &failure))
    }

    fn slots(&self) -> Result<Vec<SlotInfo>, HsmError> {
        match self.run(&Step::Slots, None)? {
            Stepped::Slots(slots) => Ok(slots),
            other => {
                Err(error::integrity(format!("the library's process answered {other:?}")).into())
            }
        }
    }
}

fn free_slot(
    slots: &[SlotInfo],
    config: &HsmProviderConfig,
    new: &NewToken<'_>,
) -> Result<u64, DeviceError> {
    let same = slots.iter().find(|slot| slot.initialized && slot.label == new.label);
    if let (Some(slot), false) = (same, new.erase) {
        return Err(taken(slot));
    }
    let named = config.slot_id.and_then(|id| slots.iter().find(|slot| slot.id == id)).or(same);
    match named {
        Some(slot) if slot.initialized && !new.erase => Err(taken(slot)),
        Some(slot) => Ok(slot.id),
        None => {
            let free = slots.iter().find(|slot| slot.present && !slot.initialized);
            free.map(|slot| slot.id).ok_or_else(|| {
                let message = format!("HSM `{}`: no slot holds a token to initialise", config.name);
                error::settings(message, vec!["name one with --slot".to_owned()])
            })
        }
    }
}

fn taken(slot: &SlotInfo) -> DeviceError {
    let (label, id) = (&slot.label, slot.id);
    let message = format!("slot {id} holds the token `{label}` already, with whatever keys it has");
    error::settings(
        message,
        vec!["to erase it for ever: --erase, and --confirm its label".to_owned()],
    )
}

fn check_label(label: &str) -> Result<(), DeviceError> {
    let fits = (1..=LABEL_LIMIT).contains(&label.len()) && !label.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(error::settings("a token's label has 1 to 32 bytes".into(), Vec::new()))
    }
}

fn lost(label: &str) -> DeviceError {
    error::integrity(format!("the token `{label}` was initialised, and no slot shows it"))
}

fn trouble(told: String) -> Failure {
    Failure { kind: FailureKind::Device, told }
}
