//! `virtengine sign` and `virtengine verify`.

use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;
use kms::key::KeyRef;
use kms_api::SchemeView;

/// `sign`.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Label or id of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: KeyRef,
    /// What is signed.
    #[command(flatten)]
    pub(crate) message: MessageArgs,
    /// How the signature is written
    #[arg(long, default_value = "base64")]
    pub(crate) encoding: Encoding,
    /// How it is made.
    #[command(flatten)]
    pub(crate) scheme: SchemeArgs,
}

/// `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Label or id of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: KeyRef,
    /// The signature as text; raw and der as base64 or hex
    #[arg(long, value_name = "TEXT", required_unless_present = "signature_file")]
    #[arg(conflicts_with = "signature_file", allow_hyphen_values = true)]
    pub(crate) signature: Option<String>,
    /// A file with the signature, as `sign` writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) signature_file: Option<PathBuf>,
    /// What was signed.
    #[command(flatten)]
    pub(crate) message: MessageArgs,
    /// How the signature is written [default: as it looks]
    #[arg(long)]
    pub(crate) encoding: Option<Encoding>,
    /// How it was made.
    #[command(flatten)]
    pub(crate) scheme: SchemeArgs,
}

/// Where a message comes from. None is an error; an empty one must be said.
#[derive(Debug, Args)]
pub(crate) struct MessageArgs {
    /// The message, `-` for stdin [default: stdin, where it is a pipe or a file]
    #[arg(long = "in", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The message has no bytes
    #[arg(long)]
    pub(crate) empty: bool,
}

/// What a signature leaves open.
#[derive(Debug, Args)]
pub(crate) struct SchemeArgs {
    /// How the message is hashed for ECDSA; keccak256 for secp256k1 only
    #[arg(long, default_value = "sha256")]
    pub(crate) hash: Hash,
    /// The message is the 32-byte digest itself (needs the permission key:sign_digest)
    #[arg(long, conflicts_with = "hash")]
    pub(crate) prehashed: bool,
    /// How an RSA signature is padded
    #[arg(long, default_value = "pss", value_name = "PADDING")]
    pub(crate) padding: PaddingName,
}

impl SchemeArgs {
    /// The scheme.
    pub(crate) fn scheme(&self) -> SchemeView {
        let hash = match self.hash {
            Hash::Sha256 => kms_api::Hash::Sha256,
            Hash::Keccak256 => kms_api::Hash::Keccak256,
        };
        let padding = match self.padding {
            PaddingName::Pss => kms_api::PaddingName::Pss,
            PaddingName::Pkcs1v15 => kms_api::PaddingName::Pkcs1v15,
        };
        SchemeView { hash, prehashed: self.prehashed, padding }
    }
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// The algorithm's own bytes
    Raw,
    /// The same as hex
    Hex,
    /// The same as base64
    Base64,
    /// ECDSA as DER, as OpenSSL has it
    Der,
    /// secp256k1 as hex of r, s and v (27 or 28), as Ethereum has it
    Rsv,
}

impl Encoding {
    /// Whether it is bytes that are no text.
    pub(crate) fn is_binary(self) -> bool {
        match self {
            Self::Raw | Self::Der => true,
            Self::Hex | Self::Base64 | Self::Rsv => false,
        }
    }

    /// As it is asked for.
    pub(crate) fn wire(self) -> kms_api::Encoding {
        match self {
            Self::Raw => kms_api::Encoding::Raw,
            Self::Hex => kms_api::Encoding::Hex,
            Self::Base64 => kms_api::Encoding::Base64,
            Self::Der => kms_api::Encoding::Der,
            Self::Rsv => kms_api::Encoding::Rsv,
        }
    }
}

/// Names of hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Hash {
    /// SHA-256
    Sha256,
    /// Keccak-256, as Ethereum hashes
    Keccak256,
}

/// Names of paddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PaddingName {
    /// RSASSA-PSS with SHA-256
    Pss,
    /// RSASSA-PKCS1-v1_5 with SHA-256
    Pkcs1v15,
}
