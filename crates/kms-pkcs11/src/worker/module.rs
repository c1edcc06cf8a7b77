//! A library that is loaded, and the token behind it once someone has logged in.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;

use cryptoki::context::CInitializeArgs;
use cryptoki::context::CInitializeFlags;
use cryptoki::context::Pkcs11;
use cryptoki::error::Error;
use cryptoki::error::RvError;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::session::UserType;
use cryptoki::slot::Limit;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use cryptoki::types::RawAuthPin;
use kms_secret::SecretBytes;

use crate::profile::Profile;
use crate::wire::Capabilities;
use crate::wire::FailureKind;
use crate::wire::LibraryInfo;
use crate::wire::Outcome;
use crate::wire::SlotInfo;
use crate::worker::capabilities;
use crate::worker::failure::failure;
use crate::worker::failure::of;
use crate::worker::failure::was_not_judged;

/// No token has more slots that are looked at.
const SLOTS: usize = 256;

/// A library that is loaded.
#[derive(Debug)]
pub(super) struct Library {
    pkcs11: Pkcs11,
    opened: Option<(Slot, Session)>,
}

impl Library {
    pub(super) fn load(path: &str) -> Outcome<(Self, LibraryInfo)> {
        let pkcs11 = Pkcs11::new(Path::new(path)).map_err(of)?;
        // Before C_Initialize a library need not tell of itself; what it says then is asked later.
        let empty = || String::new();
        let info = LibraryInfo {
            manufacturer: empty(),
            description: empty(),
            version: empty(),
            cryptoki: empty(),
        };
        Ok((Self { pkcs11, opened: None }, info))
    }

    pub(super) fn initialize(&self) -> Outcome<()> {
        let args = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        self.pkcs11.initialize(args).map_err(|error| {
            let told = of(error).told;
            failure(FailureKind::Device, told)
        })
    }

    pub(super) fn finalize(self) -> Outcome<()> {
        self.pkcs11.finalize().map_err(of)
    }

    /// What the library says of itself, once it is initialised.
    pub(super) fn maker(&self) -> String {
        let info = self.pkcs11.get_library_info();
        info.map(|info| info.manufacturer_id().to_owned()).unwrap_or_default()
    }

    pub(super) fn slots(&self) -> Outcome<Vec<SlotInfo>> {
        let slots = self.pkcs11.get_all_slots().map_err(of)?;
        let maker = self.maker();
        slots.into_iter().take(SLOTS).map(|slot| self.slot(slot, &maker)).collect()
    }

    fn slot(&self, slot: Slot, maker: &str) -> Outcome<SlotInfo> {
        let mut seen = SlotInfo {
            id: slot.id(),
            present: false,
            initialized: false,
            label: String::new(),
            serial: String::new(),
            manufacturer: maker.to_owned(),
            model: String::new(),
            login_required: false,
            user_pin_set: false,
            pin_count_low: false,
            pin_final_try: false,
            pin_locked: false,
            max_sessions: None,
            free_memory: None,
        };
        let token = match self.pkcs11.get_token_info(slot) {
            Ok(token) => token,
            // An empty slot is no fault.
            Err(Error::Pkcs11(
                RvError::TokenNotPresent | RvError::TokenNotRecognized | RvError::SlotIdInvalid,
                _,
            )) => return Ok(seen),
            Err(error) => return Err(of(error)),
        };
        seen.present = true;
        seen.initialized = token.token_initialized();
        seen.label = token.label().to_owned();
        seen.serial = token.serial_number().to_owned();
        if seen.manufacturer.is_empty() {
            seen.manufacturer = token.manufacturer_id().to_owned();
        }
        seen.model = token.model().to_owned();
        seen.login_required = token.login_required();
        seen.user_pin_set = token.user_pin_initialized();
        seen.pin_count_low = token.user_pin_count_low();
        seen.pin_final_try = token.user_pin_final_try();
        seen.pin_locked = token.user_pin_locked();
        seen.max_sessions = match token.max_rw_session_count() {
            Limit::Max(most) => Some(most),
            Limit::Unavailable | Limit::Infinite => None,
        };
        let number = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        seen.free_memory = token
            .free_private_memory()
            .zip(token.total_private_memory())
            .map(|(free, total)| (number(free), number(total)));
        Ok(seen)
    }

    /// Opens the session that keeps the login for as long as this process lives.
    pub(super) fn open(&mut self, slot: u64) -> Outcome<()> {
        let slot = slot_of(slot)?;
        self.opened = Some((slot, self.pkcs11.open_rw_session(slot).map_err(of)?));
        Ok(())
    }

    /// Logs in there.
    pub(super) fn log_in(&mut self, pin: &SecretBytes) -> Outcome<Module> {
        let opened = self.opened.take();
        let (slot, session) =
            opened.ok_or_else(|| failure(FailureKind::Refused, "no session is open"))?;
        if !pin.is_empty() {
            let pin = RawAuthPin::new(Box::new(pin.expose().to_vec()));
            match session.login_with_raw(UserType::User, &pin) {
                // A login is the whole process's; another session of it has logged in.
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(error) => return Err(login_failure(error)),
            }
        }
        Ok(Module {
            pkcs11: self.pkcs11.clone(),
            slot,
            _login: Mutex::new(Kept(session)),
            maker: self.maker(),
            profile: Profile::of_manufacturers(&[]),
            pooling: true,
            vendor_eddsa: false,
            handles: RwLock::default(),
        })
    }

    pub(super) fn init_token(&self, slot: u64, so_pin: &AuthPin, label: &str) -> Outcome<()> {
        self.pkcs11.init_token(slot_of(slot)?, so_pin, label).map_err(of)
    }

    pub(super) fn init_pin(&self, slot: u64, so_pin: &AuthPin, pin: &AuthPin) -> Outcome<()> {
        let session = self.pkcs11.open_rw_session(slot_of(slot)?).map_err(of)?;
        session.login(UserType::So, Some(so_pin)).map_err(of)?;
        let set = session.init_pin(pin).map_err(of);
        session.logout().map_err(of)?;
        set
    }
}

/// A session that only keeps the login; nothing is done in it, so threads may share it.
#[derive(Debug)]
struct Kept(#[expect(dead_code, reason = "what counts is that it stays open")] Session);

/// The public half a handle was found for, and the handle.
type KeptHandle = (Box<[u8]>, ObjectHandle);

/// A token that someone has logged in to.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) pkcs11: Pkcs11,
    pub(super) slot: Slot,
    _login: Mutex<Kept>,
    maker: String,
    pub(super) profile: &'static Profile,
    pub(super) pooling: bool,
    /// Whether Ed25519 goes by the vendor's own numbers.
    pub(super) vendor_eddsa: bool,
    /// The handles of private keys, by id and public half. Emptied after every error: a handle may
    /// name another key then.
    handles: RwLock<HashMap<Box<[u8]>, KeptHandle>>,
}

impl Module {
    /// Takes the profile that is named, or the one that fits the maker, and asks the token what it
    /// can do.
    pub(super) fn learn(&mut self, profile: &str, pooling: bool) -> Outcome<Capabilities> {
        let token = self.pkcs11.get_token_info(self.slot).map_err(of)?;
        let makers = [&*self.maker, token.manufacturer_id()];
        self.profile =
            Profile::named(profile).unwrap_or_else(|| Profile::of_manufacturers(&makers));
        self.pooling = pooling;
        let session = self.session()?;
        let (capabilities, vendor_eddsa) = capabilities::ask(self, &session)?;
        self.vendor_eddsa = vendor_eddsa;
        Ok(capabilities)
    }

    /// A new session, under the login there is.
    pub(super) fn session(&self) -> Outcome<Session> {
        self.pkcs11.open_rw_session(self.slot).map_err(of)
    }

    /// A vendor's own number, where it is used for Ed25519: 0 key type, 1 making, 2 signing.
    pub(super) fn vendor_number(&self, which: usize) -> Option<u64> {
        let numbers = self.profile.vendor_eddsa.filter(|_| self.vendor_eddsa)?;
        numbers.get(which).copied()
    }

    /// The handle kept for a key, if it is kept for this public half.
    pub(super) fn kept_handle(&self, id: &[u8], public: &[u8]) -> Option<ObjectHandle> {
        let handles = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        handles.get(key_of(id, public)).filter(|(kept, _)| **kept == *public).map(|(_, h)| *h)
    }

    pub(super) fn keep_handle(&self, id: &[u8], public: &[u8], handle: ObjectHandle) {
        let mut handles = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        handles.insert(key_of(id, public).into(), (public.into(), handle));
    }

    pub(super) fn forget_handles(&self) {
        self.handles.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Under what a handle is kept: the id, or the public half where there is none.
fn key_of<'a>(id: &'a [u8], public: &'a [u8]) -> &'a [u8] {
    if id.is_empty() { public } else { id }
}

fn slot_of(slot: u64) -> Outcome<Slot> {
    Slot::try_from(slot).map_err(of)
}

/// A login that was not judged is one of a device in trouble, and may be tried again.
fn login_failure(error: Error) -> crate::wire::Failure {
    let unjudged = match &error {
        Error::Pkcs11(value, _) => was_not_judged(*value),
        _ => false,
    };
    let told = of(error).told;
    failure(if unjudged { FailureKind::Device } else { FailureKind::Pin }, told)
}
