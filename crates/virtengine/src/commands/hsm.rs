//! `virtengine hsm`: what is done with tokens themselves stands beside; keys in them go the way of all
//! keys.

mod setup;
mod keys;

use kms_pkcs11::DoctorStep;
use kms_pkcs11::HsmError;
use kms_pkcs11::HsmProvider;
use kms_pkcs11::HsmProviderConfig;
use kms_pkcs11::HsmStatus;
use kms_pkcs11::PinSource;
use kms_pkcs11::Profile;
use serde::Serialize;

use crate::cli::hsm::DoctorArgs;
use crate::cli::hsm::HsmCommand;
use crate::cli::hsm::TargetArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::hsm;
use crate::output::text::Details;
use crate::output::text::escape;
use crate::problem::Problem;
use crate::visit::at_terminal;

/// Carries out an `hsm` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &HsmCommand) -> Result<Exit, Problem> {
    match command {
        HsmCommand::Init(args) => setup::init(context, args),
        HsmCommand::Status(args) => status(context, args),
        HsmCommand::Doctor(args) => doctor(context, args),
        HsmCommand::Keygen(args) => keys::keygen(context, args),
        HsmCommand::List(args) => keys::list(context, args),
        HsmCommand::Import(args) => keys::import(context, args),
        HsmCommand::Delete(args) => keys::delete(context, args),
        HsmCommand::Migrate(args) => keys::migrate(context, args),
        HsmCommand::Enroll(args) => setup::enroll(context, args),
        HsmCommand::Unenroll(args) => setup::unenroll(context, args),
    }
}

/// The token that is meant: the configured one, with what the command line says over it.
fn target(context: &Context<'_>, args: &TargetArgs) -> Result<HsmProviderConfig, Problem> {
    let config = &context.loaded.config;
    let described = args.library.is_some();
    let is_configured =
        args.name.as_ref().map_or(!described, |name| config.hsm.contains_key(name.as_str()));
    let mut found = if is_configured || !described {
        hsm::configured(config, &hsm::named(config, args.name.as_ref())?)?
    } else {
        let name = args.name.as_ref().map_or("hsm", |name| name.as_str());
        HsmProviderConfig::new(name, "")
    };
    if let Some(path) = &args.library {
        found.library_path = std::path::absolute(path)
            .map_err(|e| Problem::io(format!("{} is no path", path.display()), &e))?;
    }
    found.token_label = args.token_label.clone().or(found.token_label);
    found.serial = args.serial.clone().or(found.serial);
    found.slot_id = args.slot.or(found.slot_id);
    if let Some(name) = &args.profile {
        let known = Profile::named(name);
        found.profile =
            Some(known.ok_or_else(|| Problem::usage(format!("no vendor is named `{name}`")))?);
    }
    if let Some(path) = &args.pin_file {
        found.pin = Some(PinSource::File(path.clone()));
    }
    if found.pin.is_none() && at_terminal() {
        found.pin = Some(hsm::asked(&found.name));
    }
    Ok(found)
}

fn status(context: &Context<'_>, args: &TargetArgs) -> Result<Exit, Problem> {
    let config = target(context, args)?;
    let provider = HsmProvider::new(config, hsm::worker());
    let status = provider.status()?;
    let view = StatusView::of(&provider, &status);
    context.data(&view, || view.text())?;
    provider.close();
    Ok(Exit::Ok)
}

fn doctor(context: &Context<'_>, args: &DoctorArgs) -> Result<Exit, Problem> {
    let mut config = target(context, &args.target)?;
    config.risk_pin = args.risk_pin;
    let provider = HsmProvider::new(config, hsm::worker());
    let steps: Vec<StepView> = provider.doctor().into_iter().map(StepView::from).collect();
    provider.close();
    let report = Report { ok: steps.iter().all(|step| step.ok), steps };
    context.data(&report, || report.text())?;
    Ok(if report.ok { Exit::Ok } else { Exit::Unavailable })
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    steps: Vec<StepView>,
}

#[derive(Serialize)]
struct StepView {
    step: &'static str,
    ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fix: Vec<String>,
}

impl From<DoctorStep> for StepView {
    fn from(walked: DoctorStep) -> Self {
        let DoctorStep { step, ok, detail, fix } = walked;
        Self { step, ok, detail, fix }
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let mark = if step.ok { '✔' } else { '✖' };
            text += &format!("{mark} {:12} {}\n", step.step, escape(&step.detail));
            for fix in &step.fix {
                text += &format!("  fix          {}\n", escape(fix));
            }
        }
        text
    }
}

#[derive(Serialize)]
struct StatusView {
    name: String,
    library_path: String,
    vendor: &'static str,
    profile: &'static str,
    slot_id: u64,
    token_label: String,
    serial: String,
    model: String,
    manufacturer: String,
    algorithms: Vec<&'static str>,
    importable: Vec<&'static str>,
    unlocks_keystore: bool,
    pin: &'static str,
    free_bytes: Option<u64>,
    total_bytes: Option<u64>,
    mechanisms: Vec<String>,
    worker_pid: u32,
    notice: Option<String>,
    notes: &'static [&'static str],
}

impl StatusView {
    fn of(provider: &HsmProvider, status: &HsmStatus) -> Self {
        let slot = &status.slot;
        let pin = if slot.pin_locked {
            "locked"
        } else if slot.pin_final_try {
            "one try left"
        } else if slot.pin_count_low {
            "few tries left"
        } else {
            "ok"
        };
        let names = |all: &[kms::key::Algorithm]| all.iter().map(|a| a.name()).collect();
        Self {
            name: provider.config().name.clone(),
            library_path: provider.config().library_path.display().to_string(),
            vendor: status.profile.title,
            profile: status.profile.name,
            slot_id: slot.id,
            token_label: slot.label.clone(),
            serial: slot.serial.clone(),
            model: slot.model.clone(),
            manufacturer: slot.manufacturer.clone(),
            algorithms: names(&status.algorithms),
            importable: names(&status.importable),
            unlocks_keystore: status.unwraps,
            pin,
            free_bytes: slot.free_memory.map(|(free, _)| free),
            total_bytes: slot.free_memory.map(|(_, total)| total),
            mechanisms: status.mechanisms.clone(),
            worker_pid: status.worker_pid,
            notice: status.notice.clone(),
            notes: status.profile.notes,
        }
    }

    fn text(&self) -> String {
        let room = self.free_bytes.zip(self.total_bytes);
        Details::default()
            .add("name", &self.name)
            .add("library", &self.library_path)
            .add("vendor", self.vendor)
            .add("token", &self.token_label)
            .add("serial", &self.serial)
            .add("slot", self.slot_id)
            .maybe("note", self.notice.as_ref())
            .add("PIN", self.pin)
            .add("keys", self.algorithms.join(", "))
            .add("takes in", self.importable.join(", "))
            .add("can open keystore", if self.unlocks_keystore { "yes" } else { "no" })
            .maybe("room", room.map(|(free, total)| format!("{free} of {total} bytes free")))
            .add("known of it", self.notes.join("; "))
            .render()
    }
}

impl From<HsmError> for Problem {
    fn from(error: HsmError) -> Self {
        let message = error.to_string();
        match error {
            // In the words and with the code that the library would have.
            HsmError::Device(error) => {
                let error = kms::storage::StorageError::from(error);
                kms::manager::Error::from(error).into()
            }
            HsmError::NotFound(_) => Self::new(Exit::NotFound, "object_not_found", message),
            HsmError::Exists(_) | HsmError::Ambiguous { .. } => {
                Self::new(Exit::Conflict, "object_exists", message)
            }
            HsmError::KeyChanged(_) => Self::new(Exit::Integrity, "hsm_wrong_answer", message),
            HsmError::Unsupported(_) | HsmError::NoImport(_) | HsmError::InvalidKey(_) => {
                Self::new(Exit::Usage, "algorithm_not_supported", message)
            }
        }
    }
}
