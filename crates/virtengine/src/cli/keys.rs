//! `virtengine keys …`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::KeyState;
use kms::key::Label;
use kms::key::PolicyName;
use kms::key::Purpose;
use kms::key::Reason;
use kms::key::StorageName;

/// What can be done with keys. A key is named by its label (the lineage's current key) or its id.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key
    Add(AddArgs),
    /// List the keys
    List(ListArgs),
    /// Show a key
    Show(ShowArgs),
    /// Give a key another name
    Rename(RenameArgs),
    /// Order the destruction of keys; it can be cancelled for as long as it is not due
    Delete(DeleteArgs),
    /// Write the public half of a key; private halves never leave
    Export(ExportArgs),
    /// Take in a private key from a file
    Import(ImportArgs),
    /// Take in a private key written as hex
    ImportHex(ImportHexArgs),
    /// List the algorithms a key can have
    ListKeyTypes,
    /// Archive a key after its rotation (--archive)
    Migrate(MigrateArgs),
    /// Put a created key into use
    Activate(MoveArgs),
    /// Stop a key for now
    Suspend(ReasonedArgs),
    /// Put a suspended key back into use
    Reactivate(ReasonedArgs),
    /// Make a successor that takes over the name
    Rotate(MoveArgs),
    /// End a rotation: the old key signs no more
    CompleteRotation(MoveArgs),
    /// Undo a rotation that is not complete: the old key stays
    AbortRotation(MoveArgs),
    /// Stop a key for good; it still verifies
    Deactivate(MoveArgs),
    /// Put a key away after its grace period; its public half still verifies
    Archive(MoveArgs),
    /// Destroy the private half of a key: in 7 days, or --now
    Destroy(DestroyArgs),
    /// Mark a key as known to others; it never signs again
    Compromise(ReasonedArgs),
    /// Show every move of a key: when, who, why
    History(KeyArgs),
}

/// Names a key.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// Label or id of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: KeyRef,
}

/// A move that needs no reason, but may have one.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// Label or id of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: KeyRef,
    /// Why; goes on record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<Reason>,
}

/// A move that needs a reason.
#[derive(Debug, Args)]
pub(crate) struct ReasonedArgs {
    /// Label or id of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: KeyRef,
    /// Why; goes on record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Reason,
}

/// How a key that comes into being is kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct NewKeyArgs {
    /// What the key is for: consensus, account, provider or general; can never be changed
    #[arg(long, default_value = "general")]
    pub(crate) purpose: Purpose,
    /// Where its private half lives: file, hsm:NAME, or memory within a running daemon
    #[arg(long, default_value = "file")]
    pub(crate) storage: StorageName,
    /// The lifecycle policy it lives under [default: that of its purpose]
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<PolicyName>,
    /// Leave it created, not yet usable
    #[arg(long)]
    pub(crate) inactive: bool,
}

/// `keys add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Name of the new key
    pub(crate) name: Label,
    /// ed25519, secp256k1, p256, rsa2048 or rsa4096 [default: that of the purpose]
    #[arg(long, visible_alias = "key-type", value_name = "ALGORITHM")]
    pub(crate) algo: Option<Algorithm>,
    /// Only the public half, from this PEM or DER file: the private half is kept elsewhere
    #[arg(long, value_name = "FILE", conflicts_with_all = ["algo", "storage", "inactive"])]
    pub(crate) public_key: Option<PathBuf>,
    /// A Cosmos account of these secp256k1 keys of this home: see `multisig create`
    #[arg(long, value_name = "KEY,KEY,…", value_delimiter = ',')]
    #[arg(conflicts_with_all = ["algo", "public_key", "storage", "inactive"])]
    pub(crate) multisig: Vec<KeyRef>,
    /// How many of them sign
    #[arg(long, value_name = "K", default_value_t = 1, requires = "multisig")]
    pub(crate) multisig_threshold: u64,
    /// Keep them in the order they are given in
    #[arg(long, requires = "multisig")]
    pub(crate) nosort: bool,
    /// How it is kept.
    #[command(flatten)]
    pub(crate) new: NewKeyArgs,
}

/// `keys list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Names only
    #[arg(short = 'n', long)]
    pub(crate) list_names: bool,
    /// Only keys in this state
    #[arg(long, value_parser = state)]
    pub(crate) state: Option<KeyState>,
    /// Only keys of this purpose
    #[arg(long)]
    pub(crate) purpose: Option<Purpose>,
}

fn state(text: &str) -> Result<KeyState, String> {
    let all = KeyState::ALL;
    all.into_iter().find(|state| state.name() == text).ok_or_else(|| {
        let names: Vec<&str> = all.into_iter().map(KeyState::name).collect();
        format!("there are {}", names.join(", "))
    })
}

/// `keys show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Label or id of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: KeyRef,
    /// The public key as PEM only
    #[arg(long, group = "only")]
    pub(crate) pem: bool,
    /// The address only
    #[arg(short, long, group = "only")]
    pub(crate) address: bool,
    /// The public key as Cosmos JSON only
    #[arg(short, long, group = "only")]
    pub(crate) pubkey: bool,
}

/// `keys rename`.
#[derive(Debug, Args)]
pub(crate) struct RenameArgs {
    /// Label or id of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: KeyRef,
    /// The new name
    pub(crate) name: Label,
}

/// `keys delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Labels or ids of the keys
    #[arg(value_name = "KEY", required = true)]
    pub(crate) keys: Vec<KeyRef>,
    /// Why; goes on record
    #[arg(long, value_name = "TEXT", default_value = "deleted by name")]
    pub(crate) reason: Reason,
}

/// `keys export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Label or id of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: KeyRef,
    /// The form
    #[arg(long, default_value = "pem")]
    pub(crate) format: PublicForm,
    /// Write to this file instead of stdout; it must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Forms of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublicForm {
    /// SubjectPublicKeyInfo as PEM
    #[value(alias = "spki-pem")]
    Pem,
    /// SubjectPublicKeyInfo as DER
    #[value(alias = "der", alias = "spki-der")]
    Spki,
    /// The bytes of the key alone
    Raw,
    /// The same as hex
    Hex,
    /// The same as base64
    Base64,
    /// A line for authorized_keys
    Ssh,
    /// JSON with @type, as Cosmos SDK writes it
    Cosmos,
}

/// `keys import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Name of the new key
    pub(crate) name: Label,
    /// The file, `-` for stdin
    pub(crate) file: PathBuf,
    /// The form of the file
    #[arg(long, default_value = "pkcs8")]
    pub(crate) format: PrivateForm,
    /// The algorithm, where the file does not say it (raw); otherwise it must agree
    #[arg(long, visible_alias = "key-type", value_name = "ALGORITHM")]
    pub(crate) algo: Option<Algorithm>,
    /// How it is kept.
    #[command(flatten)]
    pub(crate) new: NewKeyArgs,
}

/// Forms of a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrivateForm {
    /// PKCS#8, SEC 1 or PKCS#1, as PEM or DER
    #[value(alias = "pem", alias = "der")]
    Pkcs8,
    /// The 32 bytes of the seed or scalar
    Raw,
    /// CometBFT's priv_validator_key.json
    Privval,
}

/// `keys import-hex`.
#[derive(Debug, Args)]
pub(crate) struct ImportHexArgs {
    /// Name of the new key
    pub(crate) name: Label,
    /// The key as hex; accepted because Cosmos has it, but others can see it: leave it out
    #[arg(value_name = "HEX", conflicts_with = "file")]
    pub(crate) hex: Option<String>,
    /// Read the hex from this file instead of stdin
    #[arg(long = "in", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The algorithm
    #[arg(long, visible_alias = "key-type", value_name = "ALGORITHM", default_value = "secp256k1")]
    pub(crate) algo: Algorithm,
    /// How it is kept.
    #[command(flatten)]
    pub(crate) new: NewKeyArgs,
}

/// `keys migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Label or id of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: KeyRef,
    /// Archive it
    #[arg(long, required = true)]
    pub(crate) archive: bool,
    /// Why; goes on record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<Reason>,
}

/// `keys destroy`.
#[derive(Debug, Args)]
pub(crate) struct DestroyArgs {
    /// Label or id of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: KeyRef,
    /// Why; goes on record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Reason,
    /// At once instead of in 7 days; there is no way back
    #[arg(long, conflicts_with = "cancel")]
    pub(crate) now: bool,
    /// Cancel a destruction that was ordered
    #[arg(long)]
    pub(crate) cancel: bool,
}
