//! How signatures are made and written.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms::key::Algorithm;
use kms::key::Padding;
use kms::key::Prehash;
use kms::key::Scheme;
use kms::key::Signature;
use kms_formats::signature::EcdsaSignature;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Failure;

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// The algorithm's own bytes, base64 in JSON.
    Raw,
    /// The same as hex.
    Hex,
    /// The same as base64.
    #[default]
    Base64,
    /// ECDSA as DER, as OpenSSL has it; base64 in JSON.
    Der,
    /// secp256k1 as hex of r, s and v (27 or 28), as Ethereum has it.
    Rsv,
}

impl Encoding {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Der => "der",
            Self::Rsv => "rsv",
        }
    }

    /// Whether signatures of `algorithm` can be written so.
    ///
    /// # Errors
    /// When not.
    pub fn fits(self, algorithm: Algorithm) -> Result<(), Failure> {
        let fits = match (self, algorithm) {
            (Self::Raw | Self::Hex | Self::Base64, _)
            | (Self::Der, Algorithm::Secp256k1 | Algorithm::P256)
            | (Self::Rsv, Algorithm::Secp256k1) => true,
            (Self::Der, Algorithm::Ed25519 | Algorithm::Rsa2048 | Algorithm::Rsa4096)
            | (
                Self::Rsv,
                Algorithm::Ed25519 | Algorithm::P256 | Algorithm::Rsa2048 | Algorithm::Rsa4096,
            ) => false,
        };
        if fits { Ok(()) } else { Err(no_form(algorithm, self)) }
    }

    /// The signature as text.
    ///
    /// # Errors
    /// When signatures of its algorithm are not written so.
    pub fn write(self, signature: &Signature) -> Result<String, Failure> {
        let form = |_| no_form(signature.algorithm, self);
        let ecdsa = || EcdsaSignature::from_bytes(&signature.bytes).map_err(form);
        Ok(match (self, signature.recovery_id) {
            (Self::Raw | Self::Base64, _) => STANDARD.encode(&signature.bytes),
            (Self::Hex, _) => hex::encode(&signature.bytes),
            (Self::Der, _) => STANDARD.encode(ecdsa()?.to_der()),
            (Self::Rsv, Some(id)) => hex::encode(ecdsa()?.to_rsv(id).map_err(form)?),
            (Self::Rsv, None) => return Err(no_form(signature.algorithm, self)),
        })
    }

    /// The signature in the algorithm's own bytes; nothing where the text is no such encoding.
    pub fn read(self, text: &str) -> Option<Vec<u8>> {
        let text = text.trim();
        let hex = || hex::decode(text.trim_start_matches("0x")).ok();
        let base64 = || STANDARD.decode(text).ok();
        let either = || hex().or_else(base64);
        match self {
            Self::Hex => hex(),
            Self::Base64 => base64(),
            Self::Raw => either(),
            Self::Der => Some(EcdsaSignature::from_der(&either()?).ok()?.as_bytes().to_vec()),
            Self::Rsv => Some(EcdsaSignature::from_rsv(&either()?).ok()?.0.as_bytes().to_vec()),
        }
    }
}

fn no_form(algorithm: Algorithm, encoding: Encoding) -> Failure {
    let name = encoding.name();
    Failure::usage(format!("{algorithm} signatures have no encoding `{name}`"))
        .fix("--encoding raw, hex or base64")
}

/// Names of hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Hash {
    /// SHA-256.
    #[default]
    Sha256,
    /// Keccak-256, as Ethereum hashes.
    Keccak256,
}

/// Names of paddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Padding)]
pub enum PaddingName {
    /// RSASSA-PSS with SHA-256.
    #[default]
    Pss,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Pkcs1v15,
}

/// What a signature leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Scheme)]
pub struct SchemeView {
    /// How the message is hashed for ECDSA; keccak256 for secp256k1 only.
    pub hash: Hash,
    /// The message is the 32-byte digest itself; needs the permission key:sign_digest.
    pub prehashed: bool,
    /// How an RSA signature is padded.
    pub padding: PaddingName,
}

impl SchemeView {
    /// The scheme.
    pub fn scheme(self) -> Scheme {
        let prehash = match (self.prehashed, self.hash) {
            (true, _) => Prehash::Prehashed,
            (false, Hash::Sha256) => Prehash::Sha256,
            (false, Hash::Keccak256) => Prehash::Keccak256,
        };
        let padding = match self.padding {
            PaddingName::Pss => Padding::Pss,
            PaddingName::Pkcs1v15 => Padding::Pkcs1v15,
        };
        Scheme { prehash, padding }
    }
}
