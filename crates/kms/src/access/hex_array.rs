//! How fixed-length bytes are stored: as one string of lower-case hex digits.

use serde::Deserialize;
use serde::Deserializer;
use serde::Serializer;

pub(in crate::access) fn serialize<S, const N: usize>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error>
where
    S: Serializer,
{
    serializer.serialize_str(&hex::encode(bytes))
}

pub(in crate::access) fn deserialize<'de, D, const N: usize>(
    deserializer: D,
) -> Result<[u8; N], D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    let mut bytes = [0; N];
    hex::decode_to_slice(&text, &mut bytes).map_err(serde::de::Error::custom)?;
    Ok(bytes)
}
