//! A key as JSON. The first five fields are Cosmos SDK's, in its order; fields may be added, never
//! changed.

use kms::key::Algorithm;
use kms::key::KeyId;
use kms::key::KeyState;
use kms::key::ManagedKey;
use kms::key::Origin;
use kms::key::Purpose;
use kms::lifecycle::state_at;
use kms::manager::KeyManager;
use kms::time::Timestamp;
use kms_formats::address::Address;
use kms_formats::address::AddressKind;
use kms_formats::address::Prefix;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::schema::AlgorithmName;
use crate::schema::KeyIdText;
use crate::schema::Moment;
use crate::schema::OriginName;
use crate::schema::PurposeName;
use crate::schema::StateName;

/// A key as programs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyView {
    /// The label.
    pub name: String,
    /// What Cosmos SDK calls its type.
    pub r#type: String,
    /// bech32 (`ve…`, `vevalcons…`), where the purpose has an address.
    pub address: Option<String>,
    /// Cosmos SDK's JSON, as text; absent for RSA.
    pub pubkey: Option<String>,
    /// One key for ever.
    #[schema(value_type = KeyIdText)]
    pub id: KeyId,
    /// Its algorithm.
    #[schema(value_type = AlgorithmName)]
    pub algorithm: Algorithm,
    /// What it is for.
    #[schema(value_type = PurposeName)]
    pub purpose: Purpose,
    /// Its state now.
    #[schema(value_type = StateName)]
    pub state: KeyState,
    /// Where its private half lives.
    pub storage: String,
    /// SHA-256 of the DER of its SubjectPublicKeyInfo, hex.
    pub fingerprint: Option<String>,
    /// The bytes of its public half, base64.
    pub public_key: String,
    /// When it was made or imported.
    #[schema(value_type = Moment)]
    pub created_at: Timestamp,
    /// When it first became active.
    #[schema(value_type = Option<Moment>)]
    pub activated_at: Option<Timestamp>,
    /// From this moment on it is expired.
    #[schema(value_type = Option<Moment>)]
    pub expires_at: Option<Timestamp>,
    /// When a rotation is due.
    #[schema(value_type = Option<Moment>)]
    pub rotate_by: Option<Timestamp>,
    /// The policy it lives under.
    pub policy: String,
    /// The key that replaces it.
    #[schema(value_type = Option<KeyIdText>)]
    pub successor: Option<KeyId>,
    /// The key it replaces.
    #[schema(value_type = Option<KeyIdText>)]
    pub predecessor: Option<KeyId>,
    /// Where its private half came from.
    #[schema(value_type = OriginName)]
    pub origin: Origin,
    /// The consensus address as CometBFT shows it: 40 upper-case hex digits.
    pub address_hex: Option<String>,
    /// When it stopped signing for good.
    #[schema(value_type = Option<Moment>)]
    pub deactivated_at: Option<Timestamp>,
    /// When its ordered destruction is due.
    #[schema(value_type = Option<Moment>)]
    pub destroy_at: Option<Timestamp>,
    /// When its private half went.
    #[schema(value_type = Option<Moment>)]
    pub destroyed_at: Option<Timestamp>,
}

impl KeyView {
    /// The key as it is now: past its expiry it is expired, whether or not that is stored yet.
    pub fn new(kms: &KeyManager, key: &ManagedKey) -> Self {
        let (address, address_hex) = addresses(key);
        Self {
            name: key.label.to_string(),
            r#type: kind(key).to_owned(),
            address,
            pubkey: key.public_key.to_cosmos_json(),
            id: key.id,
            algorithm: key.algorithm(),
            purpose: key.purpose,
            state: state_at(key, kms.present()),
            storage: key.storage.as_str().to_owned(),
            fingerprint: key.public_key.fingerprint().ok().map(hex::encode),
            public_key: key.public_key.to_base64(),
            created_at: key.created_at,
            activated_at: key.activated_at,
            expires_at: key.expires_at,
            rotate_by: kms.rotate_by(key),
            policy: key.policy.to_string(),
            successor: key.successor,
            predecessor: key.predecessor,
            origin: key.origin,
            address_hex,
            deactivated_at: key.deactivated_at,
            destroy_at: key.destroy_at,
            destroyed_at: key.destroyed_at,
        }
    }
}

/// What Cosmos SDK calls the type of a key.
fn kind(key: &ManagedKey) -> &'static str {
    match key.storage.as_str() {
        "offline" => "offline",
        storage if storage.starts_with("hsm:") => "hsm",
        _ => "local",
    }
}

/// The address as bech32, and for consensus keys as hex too.
fn addresses(key: &ManagedKey) -> (Option<String>, Option<String>) {
    let prefix = Prefix::default();
    match key.purpose {
        Purpose::Account => {
            let address = Address::of_account(&key.public_key).ok();
            (address.map(|a| a.to_bech32(&prefix, AddressKind::Account)), None)
        }
        Purpose::Consensus => {
            let address = Address::of_consensus(&key.public_key).ok();
            let bech32 = address.map(|a| a.to_bech32(&prefix, AddressKind::Consensus));
            (bech32, address.map(|a| a.to_hex()))
        }
        Purpose::Provider | Purpose::General => (None, None),
    }
}
