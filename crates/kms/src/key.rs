//! The model: what a key is, what it may do and how it is named. Values only, no effects.

mod name;
mod purpose;
mod record;
mod signature;
mod state;

pub use kms_formats::algorithm::Algorithm;
pub use kms_formats::algorithm::UnknownAlgorithm;
pub use kms_formats::public::InvalidPublicKey;
pub use kms_formats::public::PublicKey;

pub use name::InvalidLabel;
pub use name::InvalidReason;
pub use name::KeyId;
pub use name::KeyRef;
pub use name::Label;
pub use name::PolicyName;
pub use name::Reason;
pub use purpose::Padding;
pub use purpose::Prehash;
pub use purpose::Purpose;
pub use purpose::Scheme;
pub use purpose::UnknownPurpose;
pub use record::InvalidStorageName;
pub use record::ManagedKey;
pub use record::Move;
pub use record::Origin;
pub use record::StorageName;
pub use signature::Fingerprint;
pub use signature::Signature;
pub use state::KeyState;
