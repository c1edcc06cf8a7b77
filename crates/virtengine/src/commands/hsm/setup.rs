//! Tokens themselves: initialised, and let open the keystore.

use std::path::Path;

use kms::key::StorageName;
use kms_api::Desk;
use kms_pkcs11::HsmError;
use kms_pkcs11::HsmProviderConfig;
use kms_pkcs11::NewToken;
use kms_pkcs11::SlotSeen;
use kms_secret::SecretBytes;
use serde::Serialize;

use crate::cli::hsm::InitArgs;
use crate::cli::hsm::NamedArgs;
use crate::commands::hsm::keys::storage;
use crate::commands::hsm::target;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::hsm;
use crate::output::text::Details;
use crate::problem::Problem;
use crate::problem::say;
use crate::problem::warn;
use crate::secrets;
use crate::secrets::Stdin;
use crate::visit::rehearsal;
use crate::visit::visit;

/// The label of a token that none was said for.
const LABEL: &str = "VirtEngine";

/// Initialises a token. On record where there is a home; a token is often made before one.
///
/// # Errors
/// When it is not confirmed, or the token cannot be initialised.
pub(super) fn init(context: &Context<'_>, args: &InitArgs) -> Result<Exit, Problem> {
    let config = target(context, &args.target)?;
    let label = config.token_label.clone().unwrap_or_else(|| LABEL.to_owned());
    if context.global.dry_run {
        return rehearsal(context, &format!("initialise the token `{label}`"));
    }
    if args.erase {
        let what = format!("erase the token `{label}` with every key in it");
        confirm::severe(context.global, &what, &label)?;
    }
    let so_pin = pin(args.so_pin_file.as_deref(), "New PIN of the security officer")?;
    let pin = pin(args.target.pin_file.as_deref(), "New PIN of the user")?;
    let new = NewToken { label: &label, so_pin: &so_pin, pin: &pin, erase: args.erase };
    let made = if context.home.join("state/kms.db").exists() {
        on_record(context, &config, &new)?
    } else {
        warn("there is no home here, so this is on no record");
        config.init_token(&hsm::worker(), &new)?
    };
    let view = MadeView::of(&config, &made);
    context.data(&view, || view.text())?;
    say("keep the security officer's PIN elsewhere; next: virtengine hsm doctor");
    Ok(Exit::Ok)
}

fn on_record(
    context: &Context<'_>,
    config: &HsmProviderConfig,
    new: &NewToken<'_>,
) -> Result<SlotSeen, Problem> {
    visit(context, Stdin::Free, |visit| {
        let about = (config.name.as_str(), new.label);
        let Desk { kms, caller } = visit.here()?;
        let done = kms.administer_token(caller, ("init", about), || {
            config.init_token(&hsm::worker(), new).map_err(|error| match error {
                HsmError::Device(error) => error,
                other => kms::storage::DeviceError {
                    kind: kms::storage::DeviceErrorKind::Other,
                    message: other.to_string(),
                    advice: Vec::new(),
                },
            })
        });
        Ok(done?)
    })
}

/// Lets a token open the keystore.
///
/// # Errors
/// When it is not allowed, or the token cannot.
pub(super) fn enroll(context: &Context<'_>, args: &NamedArgs) -> Result<Exit, Problem> {
    let name = storage(context, args.name.as_ref())?;
    if context.global.dry_run {
        return rehearsal(context, &format!("let {name} open the keystore"));
    }
    let slot = visit(context, Stdin::Free, |visit| {
        let Desk { kms, caller } = visit.here()?;
        Ok(kms.enroll_token(caller, &name)?)
    })?;
    let view =
        SlotView { slot: slot.id.to_string(), kind: slot.kind.name(), storage: name.clone() };
    context.data(&view, || format!("slot {} of the keystore is {name}'s\n", view.slot))?;
    warn("who has this home, the token and its PIN now has its keys: keep the three apart");
    say("set unlock_keystore = true in its section to use it at each start");
    Ok(Exit::Ok)
}

/// Takes that away again.
///
/// # Errors
/// When it is not allowed, or the token has no slot.
pub(super) fn unenroll(context: &Context<'_>, args: &NamedArgs) -> Result<Exit, Problem> {
    let name = storage(context, args.name.as_ref())?;
    if context.global.dry_run {
        return rehearsal(context, &format!("let {name} open the keystore no more"));
    }
    visit(context, Stdin::Free, |visit| {
        let Desk { kms, caller } = visit.here()?;
        Ok(kms.unenroll_token(caller, &name)?)
    })?;
    say(&format!("{name} does not open the keystore any more"));
    Ok(Exit::Ok)
}

fn pin(file: Option<&Path>, question: &str) -> Result<SecretBytes, Problem> {
    secrets::new_passphrase(file, question)
}

#[derive(Serialize)]
struct SlotView {
    slot: String,
    kind: &'static str,
    storage: StorageName,
}

#[derive(Serialize)]
struct MadeView {
    name: String,
    token_label: String,
    serial: String,
    slot_id: u64,
    /// What to write into the configuration.
    section: String,
}

impl MadeView {
    fn of(config: &HsmProviderConfig, made: &SlotSeen) -> Self {
        let library = config.library_path.display();
        let (name, label) = (&config.name, &made.label);
        Self {
            name: name.clone(),
            token_label: label.clone(),
            serial: made.serial.clone(),
            slot_id: made.id,
            section: format!(
                "[hsm.{name}]\nlibrary_path = \"{library}\"\ntoken_label = \"{label}\"\n"
            ),
        }
    }

    fn text(&self) -> String {
        let details = Details::default()
            .add("token", &self.token_label)
            .add("serial", &self.serial)
            .add("slot", self.slot_id)
            .render();
        format!("{details}\n{}pin_file = \"…\"\n", self.section)
    }
}
