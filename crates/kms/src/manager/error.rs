//! What an operation answers when it did not do what it was asked.
//!
//! Two worlds that stay apart all the way up: *refusals* are policy, safe to tell and about the
//! request; *faults* are the machine. Both have a stable code, a kind that decides the exit code,
//! and advice.

use std::io;
use std::path::PathBuf;

use crate::access::AccessFault;
use crate::access::ChangePassphraseError;
use crate::access::ChangeRefused;
use crate::access::Denied;
use crate::access::EnrollError;
use crate::access::LoginError;
use crate::access::LoginRefused;
use crate::access::MfaRequired;
use crate::access::PassphraseError;
use crate::access::SessionRefused;
use crate::access::WeakPassphrase;
use crate::audit::AuditFault;
use crate::consensus;
use crate::durable::DiskError;
use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::KeyRef;
use crate::key::Label;
use crate::key::PolicyName;
use crate::key::StorageName;
use crate::lifecycle;
use crate::manager::approvals::Awaited;
use crate::multisig;
use crate::multisig::ActKind;
use crate::multisig::OperationId;
use crate::storage;
use crate::storage::StorageError;
use crate::store::StoreError;
use crate::time::Timestamp;

/// Why an operation did not do what it was asked. Its record is durable, unless the log itself is
/// what failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Policy says no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The machine says no.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Policy says no; safe to tell the caller.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The session is none, or no more.
    #[error(transparent)]
    Session(#[from] SessionRefused),
    /// What the caller may do.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A second factor is needed.
    #[error(transparent)]
    Mfa(#[from] MfaRequired),
    /// Who the caller says they are.
    #[error(transparent)]
    Login(#[from] LoginRefused),
    /// What may be changed of principals and roles.
    #[error(transparent)]
    Change(#[from] ChangeRefused),
    /// What a passphrase must be.
    #[error(transparent)]
    Passphrase(#[from] WeakPassphrase),
    /// Bytes that are no public key.
    #[error(transparent)]
    PublicKey(kms_formats::public::InvalidPublicKey),
    /// No such principal.
    #[error("principal {0} is not here")]
    PrincipalNotFound(String),
    /// What the key may do now.
    #[error(transparent)]
    Lifecycle(#[from] lifecycle::Refusal),
    /// What a policy may say.
    #[error(transparent)]
    Policy(#[from] lifecycle::PolicyRefusal),
    /// What the storage has or takes.
    #[error(transparent)]
    Storage(#[from] storage::Refused),
    /// What a consensus key may sign next.
    #[error(transparent)]
    Consensus(#[from] consensus::Refusal),
    /// The storage lacks the algorithm, and others have it.
    #[error("{refused}{}", elsewhere_has(elsewhere))]
    Elsewhere {
        /// What the storage said.
        refused: storage::Refused,
        /// The storages here that can.
        elsewhere: Vec<StorageName>,
    },
    /// The private key in a token is that of a record.
    #[error("this private key is that of {0}; it goes when that key is destroyed")]
    ObjectOnRecord(KeyRef),
    /// An approval rule is over a key, and would not be asked.
    #[error("approval rule {rule} is over {key}, and would not be asked")]
    RuleNotAsked {
        /// The rule.
        rule: Label,
        /// The key.
        key: KeyRef,
    },
    /// Only what is in a file can be moved into a token.
    #[error("the key is in storage {0}; only a key in a file can be moved")]
    NotInFile(StorageName),
    /// No such key.
    #[error("key {key} is not here")]
    KeyNotFound {
        /// As it was asked for.
        key: KeyRef,
        /// Names that are nearly the same.
        like: Vec<String>,
    },
    /// The label went on to another key in this very moment.
    #[error("key {0} has just been rotated or renamed; ask again")]
    KeyMovedOn(KeyRef),
    /// The label names another key.
    #[error("key {0} exists")]
    LabelTaken(Label),
    /// The same public key has a record here.
    #[error("this key is here already as {0}")]
    KeyKnown(KeyRef),
    /// The file holds another algorithm than was asked for.
    #[error("the file holds a key of {found}, not {wanted}")]
    OtherAlgorithm {
        /// As asked for.
        wanted: Algorithm,
        /// As found.
        found: Algorithm,
    },
    /// No such policy.
    #[error("policy {0} is not here")]
    PolicyNotFound(PolicyName),
    /// Keys live under the policy.
    #[error("policy {policy} is in use, by key {key} among others")]
    PolicyInUse {
        /// The policy.
        policy: PolicyName,
        /// One of the keys.
        key: Label,
    },
    /// No storage of that name is configured.
    #[error("storage {0} is not configured")]
    StorageNotFound(String),
    /// The private half never was here.
    #[error("the private half of this key is kept elsewhere; only its public half is here")]
    KeptElsewhere,
    /// A key in the memory of a process that ends at once would be gone at once.
    #[error("storage `memory` keeps a key only as long as this process runs, which ends now")]
    MemoryEndsNow,
    /// More than is signed in one piece.
    #[error("the message has {bytes} bytes, more than 16777216")]
    MessageTooLong {
        /// Its length.
        bytes: usize,
    },
    /// What a step of a multi-signature operation lacks.
    #[error(transparent)]
    MultiSig(#[from] multisig::Refusal),
    /// What a multi-signature key may be.
    #[error(transparent)]
    MultiSigKey(#[from] multisig::InvalidConfig),
    /// What an approval rule may be.
    #[error(transparent)]
    Rule(#[from] multisig::InvalidRule),
    /// No such multi-signature key, operation or rule.
    #[error("{0} is not here")]
    MultiSigNotFound(String),
    /// A multi-signature key of that name, or just like that, is here.
    #[error("multisig key {0} exists")]
    MultiSigExists(Label),
    /// It waits for others to approve; they have been asked.
    #[error("to {act}, an approval is needed: {}", shown(awaited))]
    ApprovalAwaited {
        /// What was to be done.
        act: ActKind,
        /// The approvals.
        awaited: Vec<Awaited>,
    },
    /// What was approved needs something that only whoever carries it out can give.
    #[error("what operation {0} approves takes a new passphrase: run its command again")]
    RunAgain(OperationId),
    /// An approval is signed as an approval.
    #[error("key {0} signs approvals by `multisig sign` only")]
    SignsApproval(Label),
    /// A home is there already.
    #[error("{} is a home already", .0.display())]
    HomeExists(PathBuf),
    /// A home was begun and not finished; it never had a key.
    #[error("{} holds parts of a home whose making was cut off", .0.display())]
    HalfMade(PathBuf),
    /// Nothing is there.
    #[error("{} is no home", .0.display())]
    NoHome(PathBuf),
    /// Another process has the home.
    #[error("{} is in use{}", home.display(), by_process(pid))]
    HomeInUse {
        /// The home.
        home: PathBuf,
        /// The process that holds the lock, if it said.
        pid: Option<u32>,
    },
    /// The clock is far ahead of the last record.
    #[error("the clock says {now}, but the last record is of {last}")]
    ClockLeapt {
        /// The clock.
        now: Timestamp,
        /// The last record.
        last: Timestamp,
    },
}

/// The machine says no; details are for its operator.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The audit log: nothing happens unrecorded.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// The database of records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys' storage.
    #[error(transparent)]
    Storage(#[from] storage::Fault),
    /// Randomness or memory for the decision on who asks.
    #[error(transparent)]
    Access(#[from] AccessFault),
    /// A file of the home.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The keystore was put back to an older state.
    #[error("the keystore is of generation {found}, the home knows generation {known}")]
    KeystorePutBack {
        /// As found.
        found: u32,
        /// As the store has it.
        known: u32,
    },
    /// The records of keys were put back to an older state.
    #[error("{key} was moved to {to} at {at}, and the records of keys do not know that")]
    StatePutBack {
        /// One such key.
        key: KeyId,
        /// Where the log has it.
        to: String,
        /// Since when.
        at: Timestamp,
    },
    /// The home has key files, but not the database that knows them.
    #[error("{} is missing, but the keystore beside it holds {keys} key files", path.display())]
    DatabaseGone {
        /// Where the database would be.
        path: PathBuf,
        /// How many key files there are.
        keys: usize,
    },
    /// A part of the home is missing.
    #[error("{} is missing, a part of the home", .0.display())]
    PartGone(PathBuf),
    /// What a caller wanted written to does not take it.
    #[error("the output: {0}")]
    Output(io::Error),
    /// What the home's parts say of each other does not fit.
    #[error("{0}")]
    Inconsistent(String),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

/// What kind of answer an error is: one exit code and one HTTP status each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Anything else.
    Other,
    /// The request does not make sense.
    Usage,
    /// What it is about is not there.
    NotFound,
    /// It is there already, or in use.
    Conflict,
    /// The caller may not.
    NotPermitted,
    /// Who the caller is was not shown, or a second factor is missing.
    Authentication,
    /// Something that is needed cannot be used now.
    Unavailable,
    /// Something was altered.
    Integrity,
    /// A threshold was not met in time.
    Threshold,
    /// Refused for safety: the key's state, purpose or policy.
    Unsafe,
    /// Waits for an approval.
    Waiting,
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Refused(refused) => Refused::from(refused).into(),
            StorageError::Fault(fault) => Fault::from(fault).into(),
        }
    }
}

macro_rules! refused_from {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Refused(error.into())
            }
        }
    )*};
}

macro_rules! fault_from {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Fault(error.into())
            }
        }
    )*};
}

refused_from!(lifecycle::Refusal, lifecycle::PolicyRefusal, consensus::Refusal);
refused_from!(multisig::Refusal, multisig::InvalidConfig, multisig::InvalidRule);
refused_from!(SessionRefused, Denied, MfaRequired, LoginRefused, ChangeRefused, WeakPassphrase);
fault_from!(AuditFault, StoreError, DiskError, AccessFault);

impl From<LoginError> for Error {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Refused(refused) => refused.into(),
            LoginError::Fault(fault) => fault.into(),
        }
    }
}

impl From<EnrollError> for Error {
    fn from(error: EnrollError) -> Self {
        match error {
            EnrollError::Refused(refused) => refused.into(),
            EnrollError::Fault(fault) => fault.into(),
        }
    }
}

impl From<PassphraseError> for Error {
    fn from(error: PassphraseError) -> Self {
        match error {
            PassphraseError::Weak(weak) => weak.into(),
            PassphraseError::Fault(fault) => fault.into(),
        }
    }
}

impl From<ChangePassphraseError> for Error {
    fn from(error: ChangePassphraseError) -> Self {
        match error {
            ChangePassphraseError::Refused(refused) => refused.into(),
            ChangePassphraseError::Passphrase(error) => error.into(),
        }
    }
}

fn by_process(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}

fn shown(awaited: &[Awaited]) -> String {
    let one = |one: &Awaited| {
        format!("operation {} of {} (rule {})", one.operation, one.quorum, one.rule)
    };
    let all: Vec<String> = awaited.iter().map(one).collect();
    all.join(", ")
}

fn elsewhere_has(storages: &[StorageName]) -> String {
    let names: Vec<&str> = storages.iter().map(StorageName::as_str).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!("; storage {one} can"),
        several => format!("; storages {} can", several.join(", ")),
    }
}
