//! `virtengine hsm …`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::Label;
use kms::key::PolicyName;
use kms::key::Purpose;
use kms::key::Reason;

use crate::cli::keys::PrivateForm;

/// What can be done with HSMs. Each is a section `[hsm.NAME]` of the configuration, and the storage
/// `hsm:NAME`.
#[derive(Debug, Subcommand)]
pub(crate) enum HsmCommand {
    /// Initialise a token: its label, its security officer's PIN and its user's PIN
    Init(InitArgs),
    /// Show a token: where it is, what it can do, the state of its PIN
    Status(TargetArgs),
    /// Walk from the library's file to a signature, and say where it ends and what to mend
    Doctor(DoctorArgs),
    /// Make a key in a token
    Keygen(KeygenArgs),
    /// List the private keys in a token, also those of other programs
    List(NamedArgs),
    /// Take a private key into a token, or take over one that another program made there
    Import(ImportArgs),
    /// Remove a private key from a token that is on no record here
    Delete(DeleteArgs),
    /// Move a key from its file into a token; the file goes when the key is archived
    Migrate(MigrateArgs),
    /// Let a token open the keystore, so that no passphrase is needed at a start
    Enroll(NamedArgs),
    /// Take that away again
    Unenroll(NamedArgs),
}

/// Which token: a configured one, one that is described here, or both, this winning.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Name of the HSM, as in [hsm.NAME] [default: the only one]
    pub(crate) name: Option<Label>,
    /// The vendor's PKCS#11 library; the whole path
    #[arg(long, value_name = "PATH")]
    pub(crate) library: Option<PathBuf>,
    /// Label of the token
    #[arg(long, alias = "label", value_name = "LABEL")]
    pub(crate) token_label: Option<String>,
    /// Serial number of the token
    #[arg(long)]
    pub(crate) serial: Option<String>,
    /// Number of the slot; it may move, a label does not
    #[arg(long, value_name = "N")]
    pub(crate) slot: Option<u64>,
    /// Read the PIN from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) pin_file: Option<PathBuf>,
    /// Which vendor's it is: softhsm, kryoptic, tpm2, yubihsm, cloudhsm, gcpkms, luna, generic
    #[arg(long, alias = "backend", value_name = "VENDOR")]
    pub(crate) profile: Option<String>,
}

/// `hsm init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Which token.
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Read the security officer's PIN from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) so_pin_file: Option<PathBuf>,
    /// Erase a token that is initialised already, with every key in it
    #[arg(long)]
    pub(crate) erase: bool,
}

/// `hsm doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Which token.
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Try the PIN although the token says that few tries are left
    #[arg(long)]
    pub(crate) risk_pin: bool,
}

/// Names a configured HSM.
#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// Name of the HSM, as in [hsm.NAME] [default: the only one]
    pub(crate) name: Option<Label>,
}

/// How a key that comes into a token is kept.
#[derive(Debug, Args)]
pub(crate) struct KeptArgs {
    /// Name of the HSM, as in [hsm.NAME] [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) hsm: Option<Label>,
    /// What the key is for: consensus, account, provider or general; can never be changed
    #[arg(long, default_value = "general")]
    pub(crate) purpose: Purpose,
    /// ed25519, secp256k1, p256, rsa2048 or rsa4096 [default: that of the purpose, or of the file]
    #[arg(long, visible_alias = "key-type", value_name = "ALGORITHM")]
    pub(crate) algo: Option<Algorithm>,
    /// The lifecycle policy it lives under [default: that of its purpose]
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<PolicyName>,
    /// Leave it created, not yet usable
    #[arg(long)]
    pub(crate) inactive: bool,
}

/// `hsm keygen`.
#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// Name of the new key
    #[arg(required_unless_present = "label")]
    pub(crate) name: Option<Label>,
    /// The same
    #[arg(long, hide = true, conflicts_with = "name")]
    pub(crate) label: Option<Label>,
    /// How it is kept.
    #[command(flatten)]
    pub(crate) kept: KeptArgs,
}

/// `hsm import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Name of the new key
    pub(crate) name: Label,
    /// The file, `-` for stdin
    #[arg(required_unless_present = "adopt", conflicts_with = "adopt")]
    pub(crate) file: Option<PathBuf>,
    /// Take over the key that another program made in the token under this label, or this id in hex
    #[arg(long, value_name = "OBJECT")]
    pub(crate) adopt: Option<String>,
    /// The form of the file
    #[arg(long, default_value = "pkcs8")]
    pub(crate) format: PrivateForm,
    /// How it is kept.
    #[command(flatten)]
    pub(crate) kept: KeptArgs,
}

/// `hsm delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Label of the key in the token, or its id there in hex, as `hsm list` shows them
    pub(crate) object: String,
    /// Name of the HSM, as in [hsm.NAME] [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) hsm: Option<Label>,
}

/// `hsm migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Label or id of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: KeyRef,
    /// Name of the HSM, as in [hsm.NAME] [default: the only one]
    #[arg(long, visible_alias = "to", value_name = "NAME")]
    pub(crate) hsm: Option<Label>,
    /// Why; goes on record
    #[arg(long, value_name = "TEXT", default_value = "moved into a token")]
    pub(crate) reason: Reason,
}
