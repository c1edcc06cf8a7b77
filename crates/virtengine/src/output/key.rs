//! A key as text for people. Its JSON is [`KeyView`] itself.

use kms::key::Origin;
use kms::time::Timestamp;
use kms_api::KeyView;

use crate::output::text::Details;
use crate::output::text::Table;

/// The key for people.
pub(crate) fn text(key: &KeyView) -> String {
    Details::default()
        .add("name", &key.name)
        .add("id", key.id)
        .add("state", key.state)
        .add("purpose", key.purpose)
        .add("algorithm", key.algorithm)
        .add("storage", &key.storage)
        .add("origin", origin(key.origin))
        .add("policy", &key.policy)
        .maybe("address", key.address.as_ref())
        .maybe("address (hex)", key.address_hex.as_ref())
        .add("public key", &key.public_key)
        .maybe("fingerprint", key.fingerprint.as_ref())
        .add("created", key.created_at)
        .maybe("activated", key.activated_at)
        .maybe("rotate by", key.rotate_by)
        .maybe("expires", key.expires_at)
        .maybe("deactivated", key.deactivated_at)
        .maybe("destruction", key.destroy_at)
        .maybe("destroyed", key.destroyed_at)
        .maybe("successor", key.successor)
        .maybe("predecessor", key.predecessor)
        .render()
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
