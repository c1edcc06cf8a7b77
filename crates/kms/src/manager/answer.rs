//! What an error is to the one who asked: a stable code, a kind, and advice.
//!
//! One exhaustive place, so that a new refusal has to say what it is.

use crate::access::LoginRefused;
use crate::access::MfaRequired;
use crate::audit::AuditFault;
use crate::durable::DiskError;
use crate::lifecycle::PolicyRefusal;
use crate::lifecycle::Refusal as Lifecycle;
use crate::manager::Error;
use crate::manager::ErrorKind;
use crate::manager::Fault;
use crate::manager::Refused;
use crate::storage;
use crate::store::StoreError;

impl Error {
    /// A stable word for what happened; the same for ever.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.answer().0,
            Self::Fault(fault) => fault.answer().0,
        }
    }

    /// What kind of answer this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(refused) => refused.answer().1,
            Self::Fault(fault) => fault.answer().1,
        }
    }

    /// Whether someone was kept from what they may not do.
    pub(crate) fn is_denial(&self) -> bool {
        match self {
            Self::Refused(Refused::Session(_) | Refused::Denied(_) | Refused::Mfa(_)) => true,
            Self::Refused(_) | Self::Fault(_) => false,
        }
    }

    /// The message as it stands in the log, where no personal name may stand.
    pub(crate) fn on_record(&self) -> String {
        use crate::access::ChangeRefused;
        match self {
            Self::Refused(Refused::PrincipalNotFound(_)) => "a principal is not here".to_owned(),
            Self::Refused(Refused::Change(ChangeRefused::NameTaken(_))) => {
                "a principal of that name exists already".to_owned()
            }
            Self::Refused(_) | Self::Fault(_) => self.to_string(),
        }
    }

    /// What to do, most useful first; may be empty.
    pub fn advice(&self) -> Vec<String> {
        match self {
            Self::Refused(refused) => refused.advice(),
            Self::Fault(fault) => fault.advice(),
        }
    }
}

impl Refused {
    fn answer(&self) -> (&'static str, ErrorKind) {
        use crate::access::Denied;
        match self {
            Self::Session(_) => ("session_ended", ErrorKind::Authentication),
            Self::Denied(Denied::Hidden) => ("key_not_found", ErrorKind::NotFound),
            Self::Denied(Denied::SessionEnded) => ("session_ended", ErrorKind::Authentication),
            Self::Denied(Denied::Missing { .. } | Denied::Narrow(_)) => {
                ("permission_denied", ErrorKind::NotPermitted)
            }
            Self::Mfa(MfaRequired::Absent | MfaRequired::Stale) => {
                ("mfa_required", ErrorKind::Authentication)
            }
            Self::Login(LoginRefused::LockedOut(_)) => ("locked_out", ErrorKind::Authentication),
            Self::Login(LoginRefused::NotEnrolled(_)) => {
                ("mfa_not_enrolled", ErrorKind::Authentication)
            }
            Self::Login(_) => ("login_failed", ErrorKind::Authentication),
            Self::Change(refused) => change(refused),
            Self::Passphrase(_) => ("weak_passphrase", ErrorKind::Usage),
            Self::PublicKey(_) => ("key_invalid", ErrorKind::Usage),
            Self::PrincipalNotFound(_) => ("principal_not_found", ErrorKind::NotFound),
            Self::Lifecycle(refusal) => lifecycle(refusal),
            Self::Policy(refusal) => policy(refusal),
            Self::Storage(refused) => stored(refused),
            Self::Elsewhere { refused, .. } => stored(refused),
            Self::ObjectOnRecord(_) => ("key_on_record", ErrorKind::Conflict),
            Self::NotInFile(_) => ("key_not_in_file", ErrorKind::Conflict),
            Self::KeyNotFound { .. } => ("key_not_found", ErrorKind::NotFound),
            Self::KeyMovedOn(_) => ("key_moved_on", ErrorKind::Conflict),
            Self::LabelTaken(_) => ("key_exists", ErrorKind::Conflict),
            Self::KeyKnown(_) => ("key_exists", ErrorKind::Conflict),
            Self::OtherAlgorithm { .. } => ("algorithm_mismatch", ErrorKind::Usage),
            Self::PolicyNotFound(_) => ("policy_not_found", ErrorKind::NotFound),
            Self::PolicyInUse { .. } => ("policy_in_use", ErrorKind::Conflict),
            Self::StorageNotFound(_) => ("storage_not_configured", ErrorKind::Unavailable),
            Self::KeptElsewhere => ("private_key_elsewhere", ErrorKind::Unavailable),
            Self::HalfMade(_) => ("home_half_made", ErrorKind::Conflict),
            Self::MemoryEndsNow => ("memory_not_kept", ErrorKind::Usage),
            Self::MessageTooLong { .. } => ("message_too_long", ErrorKind::Usage),
            Self::HomeExists(_) => ("home_exists", ErrorKind::Conflict),
            Self::NoHome(_) => ("no_home", ErrorKind::NotFound),
            Self::HomeInUse { .. } => ("home_in_use", ErrorKind::Conflict),
            Self::ClockLeapt { .. } => ("clock_leapt", ErrorKind::Unsafe),
        }
    }

    fn advice(&self) -> Vec<String> {
        let lines: &[&str] = match self {
            Self::Mfa(MfaRequired::Absent | MfaRequired::Stale) => {
                &["give the code of your authenticator with --mfa-code 123456"]
            }
            Self::Login(LoginRefused::NotEnrolled(_)) => {
                &["enrol a second factor: virtengine mfa enroll"]
            }
            Self::NoHome(_) => &["make one: virtengine init, or try it out: virtengine dev"],
            Self::HalfMade(_) => {
                &["no key was ever in it: remove its state, keystore and audit, and init again"]
            }
            Self::HomeExists(_) => &["choose another --home, or move this one away"],
            Self::HomeInUse { .. } => &["wait for it to end, or talk to it if it is the daemon"],
            Self::ClockLeapt { .. } => {
                &["set the clock; if it is right, say so with --accept-clock"]
            }
            Self::MemoryEndsNow => &["use --storage file"],
            Self::StorageNotFound(_) => {
                &["the storages are file, memory, and hsm:NAME for each [hsm.NAME] of config.toml"]
            }
            Self::ObjectOnRecord(_) => &["virtengine keys destroy NAME --reason TEXT"],
            Self::KeyNotFound { like, .. } if !like.is_empty() => {
                return vec![format!("did you mean {}?", like.join(", "))];
            }
            Self::KeyNotFound { .. } => &["see what is there: virtengine keys list"],
            Self::Storage(storage::Refused::NotFound(_)) => {
                &["its private half is gone: restore its file from a backup", "virtengine doctor"]
            }
            Self::Storage(storage::Refused::Locked) => {
                &["use the keystore as a principal that opens it: virtengine principal list"]
            }
            Self::Storage(storage::Refused::WrongPassphrase) => {
                &["your passphrase is right, so HOME/keystore is not this home's: restore it"]
            }
            Self::Login(_) => &["look at --as, the passphrase and --mfa-code"],
            Self::LabelTaken(_) => &["choose another name; or see it: virtengine keys show NAME"],
            Self::PolicyNotFound(_) => &["see what is there: virtengine policy list"],
            _ => &[],
        };
        lines.iter().map(|line| (*line).to_owned()).collect()
    }
}

fn change(refused: &crate::access::ChangeRefused) -> (&'static str, ErrorKind) {
    use crate::access::ChangeRefused as C;
    match refused {
        C::AlreadyBootstrapped => ("home_exists", ErrorKind::Conflict),
        C::WrongGrant | C::PermissionNotHeld(_) | C::NotHeld(_) | C::HoldsMore(_) | C::Oneself => {
            ("permission_denied", ErrorKind::NotPermitted)
        }
        C::SessionEnded => ("session_ended", ErrorKind::Authentication),
        C::UnknownPrincipal(_) => ("principal_not_found", ErrorKind::NotFound),
        C::NameTaken(_) => ("principal_exists", ErrorKind::Conflict),
        C::UnknownRole(_) => ("role_not_found", ErrorKind::NotFound),
        C::TooManyRoles(_) | C::Role(_) => ("role_invalid", ErrorKind::Usage),
        C::LastAdmin => ("last_admin", ErrorKind::Unsafe),
        C::RoleInUse(_) => ("role_in_use", ErrorKind::Conflict),
        C::MfaInPlace => ("mfa_required", ErrorKind::Authentication),
    }
}

fn lifecycle(refusal: &Lifecycle) -> (&'static str, ErrorKind) {
    match refusal {
        Lifecycle::PurposeAlgorithm { .. } => ("algorithm_not_allowed", ErrorKind::Usage),
        Lifecycle::PolicyAlgorithm { .. } => ("algorithm_not_allowed", ErrorKind::NotPermitted),
        Lifecycle::Keccak { .. } | Lifecycle::Digest { .. } | Lifecycle::DigestLength { .. } => {
            ("scheme_not_supported", ErrorKind::Usage)
        }
        Lifecycle::ApprovalRequired { .. } => ("approval_required", ErrorKind::Waiting),
        Lifecycle::RawConsensus { .. } => ("consensus_key", ErrorKind::Unsafe),
        Lifecycle::GracePeriod { .. } => ("grace_period", ErrorKind::Unsafe),
        Lifecycle::Use { .. } => ("key_not_usable", ErrorKind::Unsafe),
        Lifecycle::State { .. } => ("state_not_allowed", ErrorKind::Unsafe),
        _ => ("move_not_allowed", ErrorKind::Unsafe),
    }
}

fn policy(refusal: &PolicyRefusal) -> (&'static str, ErrorKind) {
    match refusal {
        PolicyRefusal::Invalid(_) => ("policy_invalid", ErrorKind::Usage),
        PolicyRefusal::Exists(_) => ("policy_exists", ErrorKind::Conflict),
        PolicyRefusal::Unknown(_) => ("policy_not_found", ErrorKind::NotFound),
        PolicyRefusal::BuiltIn(_) => ("policy_built_in", ErrorKind::Conflict),
    }
}

fn stored(refused: &storage::Refused) -> (&'static str, ErrorKind) {
    use storage::Refused as S;
    match refused {
        S::Locked => ("locked", ErrorKind::Unavailable),
        // Its record is here, so the name was right: something was lost.
        S::NotFound(_) => ("private_key_not_found", ErrorKind::Integrity),
        S::Exists(_) | S::KeystoreExists(_) => ("key_exists", ErrorKind::Conflict),
        S::Unsupported { .. } => ("algorithm_not_supported", ErrorKind::Usage),
        S::NoImport { .. } => ("import_not_supported", ErrorKind::Usage),
        S::NoOthers(_) | S::NoUnwrapping(_) => ("storage_cannot", ErrorKind::Usage),
        S::NoObject { .. } => ("object_not_found", ErrorKind::NotFound),
        S::AmbiguousObject { .. } => ("object_ambiguous", ErrorKind::Conflict),
        S::NotAdoptable { .. } => ("object_not_adoptable", ErrorKind::Usage),
        S::InvalidKey { .. } => ("key_invalid", ErrorKind::Usage),
        S::PublicMismatch(_) => ("public_key_mismatch", ErrorKind::Integrity),
        S::Scheme { .. } => ("scheme_not_supported", ErrorKind::Usage),
        S::WrongPassphrase | S::NoSlot(_) => ("login_failed", ErrorKind::Authentication),
        S::LastSlot | S::InvalidSlot(_) => ("slot_not_allowed", ErrorKind::Unsafe),
    }
}

impl Fault {
    fn answer(&self) -> (&'static str, ErrorKind) {
        match self {
            Self::Audit(fault) => audit(fault),
            Self::Store(fault) => store(fault),
            Self::Storage(fault) => match fault {
                storage::Fault::Tampered { .. } | storage::Fault::SlotsTampered { .. } => {
                    ("key_file_altered", ErrorKind::Integrity)
                }
                storage::Fault::Device(error) => device(error.kind),
                storage::Fault::NoSpace => ("no_space", ErrorKind::Unavailable),
                storage::Fault::Disk(error) => disk(error),
                storage::Fault::SelfTestFailed(_) => ("self_test_failed", ErrorKind::Integrity),
                storage::Fault::Random | storage::Fault::Library(_) => {
                    ("cryptography_unavailable", ErrorKind::Unavailable)
                }
            },
            Self::Access(_) | Self::Random => ("cryptography_unavailable", ErrorKind::Unavailable),
            Self::Disk(error) => disk(error),
            Self::Output(_) => ("output_failed", ErrorKind::Other),
            Self::DatabaseGone { .. } | Self::PartGone(_) => {
                ("home_part_gone", ErrorKind::Integrity)
            }
            Self::KeystorePutBack { .. } => ("keystore_put_back", ErrorKind::Integrity),
            Self::StatePutBack { .. } => ("state_put_back", ErrorKind::Integrity),
            Self::Inconsistent(_) => ("home_inconsistent", ErrorKind::Integrity),
        }
    }

    fn advice(&self) -> Vec<String> {
        if let Self::Storage(storage::Fault::Device(error)) = self {
            return error.advice.clone();
        }
        let lines: &[&str] = match self.answer().0 {
            "no_space" => &["nothing was signed or changed; free space, it works again by itself"],
            "read_only" => &["mount the file system for writing, or choose another --home"],
            "key_file_altered" => &["the key was not used; restore its file from a backup"],
            "audit_damaged" => &["look at the damage: virtengine audit verify --dir HOME/audit"],
            "state_put_back" => {
                &["restore the newest HOME/state; find out who put the older one there"]
            }
            "home_part_gone" => &["restore it from a backup; do not make a home anew over it"],
            "store_altered" => &["restore HOME/state from a backup; find out who wrote to it"],
            _ => &[],
        };
        lines.iter().map(|line| (*line).to_owned()).collect()
    }
}

fn device(kind: storage::DeviceErrorKind) -> (&'static str, ErrorKind) {
    use storage::DeviceErrorKind as D;
    match kind {
        D::Library => ("hsm_library", ErrorKind::Unavailable),
        D::Settings => ("hsm_settings", ErrorKind::Unavailable),
        D::Unavailable => ("hsm_unavailable", ErrorKind::Unavailable),
        D::Full => ("hsm_full", ErrorKind::Unavailable),
        D::Pin => ("hsm_pin", ErrorKind::Authentication),
        D::Unsupported => ("hsm_unsupported", ErrorKind::Usage),
        D::Integrity => ("hsm_wrong_answer", ErrorKind::Integrity),
        D::Other => ("hsm_refused", ErrorKind::Unavailable),
    }
}

fn audit(fault: &AuditFault) -> (&'static str, ErrorKind) {
    match fault {
        AuditFault::NoSpace => ("no_space", ErrorKind::Unavailable),
        AuditFault::Integrity(_) | AuditFault::WrongKey { .. } | AuditFault::NotARecord => {
            ("audit_damaged", ErrorKind::Integrity)
        }
        AuditFault::Key { .. } => ("audit_key_unusable", ErrorKind::Unavailable),
        AuditFault::Setting(_) => ("audit_setting", ErrorKind::Usage),
        AuditFault::File { source, .. } => disk(source),
        AuditFault::Poisoned(_)
        | AuditFault::Closed
        | AuditFault::Randomness
        | AuditFault::Thread(_) => ("audit_unavailable", ErrorKind::Unavailable),
    }
}

fn store(fault: &StoreError) -> (&'static str, ErrorKind) {
    match fault {
        StoreError::Disk(error) => disk(error),
        StoreError::WrongKey
        | StoreError::Tampered { .. }
        | StoreError::Altered
        | StoreError::Corrupt(_)
        | StoreError::Unreadable { .. } => ("store_altered", ErrorKind::Integrity),
        StoreError::NewerSchema { .. } => ("store_newer", ErrorKind::Other),
        StoreError::Exists { .. } => ("record_exists", ErrorKind::Conflict),
        StoreError::Busy => ("home_in_use", ErrorKind::Conflict),
        StoreError::NoSpace => ("no_space", ErrorKind::Unavailable),
        StoreError::ReadOnly => ("read_only", ErrorKind::Unavailable),
        StoreError::RolledBack | StoreError::GivenUp | StoreError::Database { .. } => {
            ("store_unavailable", ErrorKind::Unavailable)
        }
    }
}

fn disk(error: &DiskError) -> (&'static str, ErrorKind) {
    match error {
        DiskError::NotFound => ("file_not_found", ErrorKind::Integrity),
        DiskError::Exists => ("file_exists", ErrorKind::Conflict),
        DiskError::Unsafe { .. } => ("file_unsafe", ErrorKind::Integrity),
        DiskError::TooLong { .. } => ("file_too_long", ErrorKind::Integrity),
        DiskError::NoSpace => ("no_space", ErrorKind::Unavailable),
        DiskError::ReadOnly => ("read_only", ErrorKind::Unavailable),
        DiskError::Denied { .. } => ("file_denied", ErrorKind::Unavailable),
        DiskError::GivenUp { .. } | DiskError::Io(_) => ("disk_failed", ErrorKind::Unavailable),
    }
}
