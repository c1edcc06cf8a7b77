//! A key as JSON and as text. The first five fields are Cosmos SDK's, in its order; fields may be
//! added, never changed.

use kms::key::Algorithm;
use kms::key::KeyId;
use kms::key::KeyState;
use kms::key::ManagedKey;
use kms::key::Origin;
use kms::key::Purpose;
use kms::lifecycle::state_at;
use kms::time::Timestamp;
use kms_formats::address::Address;
use kms_formats::address::AddressKind;
use kms_formats::address::Prefix;
use serde::Serialize;

use crate::output::text::Details;
use crate::output::text::Table;

/// A key as programs see it.
#[derive(Debug, Serialize)]
pub(crate) struct KeyView {
    name: String,
    r#type: &'static str,
    /// bech32 (`ve…`, `vevalcons…`), where the purpose has an address.
    pub(crate) address: Option<String>,
    /// Cosmos SDK's JSON, as text; absent for RSA.
    pub(crate) pubkey: Option<String>,
    id: KeyId,
    algorithm: Algorithm,
    purpose: Purpose,
    state: KeyState,
    storage: String,
    fingerprint: Option<String>,
    public_key: String,
    created_at: Timestamp,
    activated_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    rotate_by: Option<Timestamp>,
    policy: String,
    successor: Option<KeyId>,
    predecessor: Option<KeyId>,
    origin: Origin,
    /// The consensus address as CometBFT shows it: 40 upper-case hex digits.
    address_hex: Option<String>,
    deactivated_at: Option<Timestamp>,
    destroy_at: Option<Timestamp>,
    destroyed_at: Option<Timestamp>,
}

impl KeyView {
    /// The key as it is at `now`: past its expiry it is expired, whether or not that is stored yet.
    pub(crate) fn new(key: &ManagedKey, rotate_by: Option<Timestamp>, now: Timestamp) -> Self {
        let (address, address_hex) = addresses(key);
        Self {
            name: key.label.to_string(),
            r#type: kind(key),
            address,
            pubkey: key.public_key.to_cosmos_json(),
            id: key.id,
            algorithm: key.algorithm(),
            purpose: key.purpose,
            state: state_at(key, now),
            storage: key.storage.as_str().to_owned(),
            fingerprint: key.public_key.fingerprint().ok().map(hex::encode),
            public_key: key.public_key.to_base64(),
            created_at: key.created_at,
            activated_at: key.activated_at,
            expires_at: key.expires_at,
            rotate_by,
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

    /// Its label.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is in this state.
    pub(crate) fn is_in(&self, state: KeyState) -> bool {
        self.state == state
    }

    /// The key for people.
    pub(crate) fn text(&self) -> String {
        Details::default()
            .add("name", &self.name)
            .add("id", self.id)
            .add("state", self.state)
            .add("purpose", self.purpose)
            .add("algorithm", self.algorithm)
            .add("storage", &self.storage)
            .add("origin", origin(self.origin))
            .add("policy", &self.policy)
            .maybe("address", self.address.as_ref())
            .maybe("address (hex)", self.address_hex.as_ref())
            .add("public key", &self.public_key)
            .maybe("fingerprint", self.fingerprint.as_ref())
            .add("created", self.created_at)
            .maybe("activated", self.activated_at)
            .maybe("rotate by", self.rotate_by)
            .maybe("expires", self.expires_at)
            .maybe("deactivated", self.deactivated_at)
            .maybe("destruction", self.destroy_at)
            .maybe("destroyed", self.destroyed_at)
            .maybe("successor", self.successor)
            .maybe("predecessor", self.predecessor)
            .render()
    }
}

/// Keys for people, one a line.
pub(crate) fn table(keys: &[KeyView]) -> String {
    let mut table =
        Table::new(&["NAME", "STATE", "PURPOSE", "ALGORITHM", "STORAGE", "EXPIRES", "ID"]);
    for key in keys {
        table.row([
            key.name.clone(),
            key.state.to_string(),
            key.purpose.to_string(),
            key.algorithm.to_string(),
            key.storage.clone(),
            key.expires_at.map_or_else(|| "never".to_owned(), day),
            key.id.to_string(),
        ]);
    }
    table.render_or("no keys")
}

/// What Cosmos SDK calls the type of a key.
fn kind(key: &ManagedKey) -> &'static str {
    match key.storage.as_str() {
        "offline" => "offline",
        storage if storage.starts_with("hsm:") => "hsm",
        _ => "local",
    }
}

fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Generated => "generated",
        Origin::Imported => "imported",
        Origin::Adopted => "adopted",
        Origin::Registered => "registered",
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
