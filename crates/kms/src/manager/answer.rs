//! What an error is to the one who asked: a stable code, a kind, and advice.
//!
//! One exhaustive place, so that a new refusal has to say what it is.

use crate::access::LoginRefused;
use crate::access::MfaRequired;
use crate::audit::AuditFault;
use crate::consensus;
use crate::durable::DiskError;
use crate::lifecycle::PolicyRefusal;
use crate::lifecycle::Refusal as Lifecycle;
use crate::manager::Error;
use crate::manager::ErrorKind;
use crate::manager::Fault;
use crate::manager::Refused;
use crate::multisig::InvalidRule;
use crate::multisig::OperationState;
use crate::multisig::Refusal as MultiSigRefusal;
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
            Self::Consensus(refusal) => consensus(refusal),
            Self::Elsewhere { refused, .. } => stored(refused),
            Self::ObjectOnRecord(_) => ("key_on_record", ErrorKind::Conflict),
            Self::RuleNotAsked { .. } => ("rule_not_asked", ErrorKind::Unsafe),
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
            Self::MultiSig(refusal) => multisig(refusal),
            Self::MultiSigKey(_) => ("multisig_invalid", ErrorKind::Usage),
            Self::Rule(rule) => approval_rule(rule),
            Self::MultiSigNotFound(_) => ("multisig_not_found", ErrorKind::NotFound),
            Self::MultiSigExists(_) => ("multisig_exists", ErrorKind::Conflict),
            Self::ApprovalAwaited { .. } => ("approval_required", ErrorKind::Waiting),
            Self::RunAgain(_) => ("run_again", ErrorKind::Usage),
            Self::SignsApproval(_) => ("signs_approval", ErrorKind::Unsafe),
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
            Self::Consensus(refusal) => consensus_advice(refusal),
            Self::ApprovalAwaited { awaited, .. } => return awaited_advice(awaited),
            Self::Lifecycle(Lifecycle::ApprovalRequired { .. }) => {
                &["say whose approval: virtengine approval set NAME --act ACT --quorum MULTISIG"]
            }
            Self::MultiSig(MultiSigRefusal::NobodyLeft { .. }) => {
                &["see docs/multisig.md, \"When nobody is left\""]
            }
            Self::MultiSig(MultiSigRefusal::TimedOut { .. }) => {
                &["begin it anew: a signature counts in the operation it was made for only"]
            }
            Self::MultiSig(MultiSigRefusal::Insufficient { .. }) => {
                &["who is missing signs: virtengine multisig sign OP --key KEY"]
            }
            Self::SignsApproval(_) => &["virtengine multisig sign OP --key KEY"],
            Self::MultiSigNotFound(_) => &["see what is there: virtengine multisig list"],
            Self::StorageNotFound(_) => {
                &["the storages are file, memory, and hsm:NAME for each [hsm.NAME] of config.toml"]
            }
            Self::RuleNotAsked { .. } => {
                &["let its quorum change the rule first: virtengine approval set, or remove"]
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

fn awaited_advice(awaited: &[crate::manager::Awaited]) -> Vec<String> {
    let first = awaited.first().map(|one| one.operation.to_string()).unwrap_or_default();
    let lines = [
        format!("what is asked, and who can approve: virtengine multisig show {first}"),
        format!("each approver: virtengine multisig sign {first} --key KEY"),
        format!("then: virtengine multisig complete {first}"),
    ];
    lines.into()
}

fn multisig(refusal: &MultiSigRefusal) -> (&'static str, ErrorKind) {
    use MultiSigRefusal as M;
    match refusal {
        M::EmptyMessage | M::MessageTooLong(_) => ("message_invalid", ErrorKind::Usage),
        M::Transaction(_) => ("transaction_invalid", ErrorKind::Usage),
        M::NobodyLeft { .. } => ("nobody_left", ErrorKind::Threshold),
        M::NotASigner(_) => ("not_a_signer", ErrorKind::NotPermitted),
        M::SignerExpired { .. } => ("signer_expired", ErrorKind::NotPermitted),
        M::OwnRequest(_) => ("own_request", ErrorKind::NotPermitted),
        M::Stopped { .. } => ("signer_stopped", ErrorKind::NotPermitted),
        M::OtherOwner(_) => ("not_your_key", ErrorKind::NotPermitted),
        M::Duplicate(_) => ("signature_exists", ErrorKind::Conflict),
        M::OutOfOrder { .. } => ("out_of_order", ErrorKind::Conflict),
        M::InvalidSignature { .. } => ("signature_invalid", ErrorKind::Integrity),
        M::Insufficient { .. } => ("threshold_not_met", ErrorKind::Threshold),
        M::TimedOut { .. } => ("multisig_expired", ErrorKind::Threshold),
        M::Over { state: OperationState::Cancelled, .. } => {
            ("multisig_cancelled", ErrorKind::Threshold)
        }
        M::Over { .. } => ("multisig_over", ErrorKind::Conflict),
        M::SameTransaction(_) => ("transaction_exists", ErrorKind::Conflict),
        M::RuleChanged(_) => ("rule_changed", ErrorKind::Conflict),
        M::OtherAct(_) => ("act_invalid", ErrorKind::Usage),
    }
}

fn approval_rule(rule: &InvalidRule) -> (&'static str, ErrorKind) {
    match rule {
        InvalidRule::Unreachable { .. } => ("quorum_unreachable", ErrorKind::Unsafe),
        InvalidRule::NoActs(_)
        | InvalidRule::Scope(..)
        | InvalidRule::Form(_)
        | InvalidRule::NoOwner(_)
        | InvalidRule::SamePerson(..) => ("rule_invalid", ErrorKind::Usage),
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
        C::TooManyAttestations(_) => ("attestation_invalid", ErrorKind::Usage),
        C::AttestationTaken => ("attestation_taken", ErrorKind::Conflict),
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
        Lifecycle::OtherGrant { .. } => ("permission_denied", ErrorKind::NotPermitted),
        Lifecycle::ApprovalRequired { .. } => ("approval_required", ErrorKind::Waiting),
        Lifecycle::RawConsensus { .. } | Lifecycle::NotForConsensus { .. } => {
            ("consensus_key", ErrorKind::Unsafe)
        }
        Lifecycle::GracePeriod { .. } => ("grace_period", ErrorKind::Unsafe),
        Lifecycle::Use { .. } => ("key_not_usable", ErrorKind::Unsafe),
        Lifecycle::State { .. } => ("state_not_allowed", ErrorKind::Unsafe),
        _ => ("move_not_allowed", ErrorKind::Unsafe),
    }
}

fn consensus(refusal: &consensus::Refusal) -> (&'static str, ErrorKind) {
    use crate::consensus::Refusal as C;
    match refusal {
        C::Regression { .. } | C::Conflict { .. } | C::NotKept { .. } => {
            ("double_sign", ErrorKind::Unsafe)
        }
        C::Jump { .. } => ("height_jump", ErrorKind::Unsafe),
        C::TooFast { .. } => ("too_fast", ErrorKind::Unsafe),
        C::Malformed(_) => ("request_malformed", ErrorKind::Usage),
        C::Stopped { .. } => ("stop_height", ErrorKind::Unsafe),
        C::HandedOver => ("handed_over", ErrorKind::Unsafe),
        C::OtherChain { .. } => ("other_chain", ErrorKind::Unsafe),
        C::NoState { .. } => ("state_missing", ErrorKind::Unsafe),
        C::StateExists { .. } => ("state_exists", ErrorKind::Conflict),
        C::Elsewhere { .. } => ("state_elsewhere", ErrorKind::Unsafe),
        C::Damaged { .. } | C::OtherKey { .. } => ("state_damaged", ErrorKind::Integrity),
        C::Lowering { .. } => ("state_lowering", ErrorKind::Unsafe),
        C::NotWritten(_) => ("state_not_written", ErrorKind::Unavailable),
    }
}

fn consensus_advice(refusal: &consensus::Refusal) -> &'static [&'static str] {
    use crate::consensus::Refusal as C;
    match refusal {
        C::NoState { .. } | C::Damaged { .. } => &[
            "make sure that no other signer uses this key, and at which height it stopped; then: \
             virtengine validator state init KEY --chain-id CHAIN --height HEIGHT --reason WHY",
        ],
        C::Elsewhere { .. } => {
            &["make sure that the signer this came from is stopped, and at which height; then: \
             virtengine validator state confirm KEY --chain-id CHAIN --height HEIGHT --reason WHY"]
        }
        C::Jump { .. } => &["if the chain is really there: \
             virtengine validator state confirm KEY --chain-id CHAIN --height HEIGHT --reason WHY"],
        C::HandedOver => &["the other signer has it; see: virtengine validator state list"],
        C::NotWritten(_) => &["look at the disk, then start again"],
        C::Regression { .. }
        | C::Conflict { .. }
        | C::NotKept { .. }
        | C::TooFast { .. }
        | C::Malformed(_)
        | C::Stopped { .. }
        | C::OtherChain { .. }
        | C::StateExists { .. }
        | C::OtherKey { .. }
        | C::Lowering { .. } => &[],
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
                storage::Fault::WrongSignature(_) => ("signature_wrong", ErrorKind::Integrity),
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
