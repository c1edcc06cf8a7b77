//! Which slot: decided from what the slots say, never from a number alone that may have moved.

use kms::storage::DeviceError;

use crate::config::HsmProviderConfig;
use crate::error::settings;
use crate::wire::SlotInfo;

/// A slot as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSeen {
    /// Its number now.
    pub id: u64,
    /// Whether a token is in it.
    pub present: bool,
    /// Whether that token is initialised.
    pub initialized: bool,
    /// The token's label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Its manufacturer.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Whether few tries of the PIN are left; some tokens say so after the first failure.
    pub pin_count_low: bool,
    /// Whether the next failure locks it.
    pub pin_final_try: bool,
    /// Whether it is locked.
    pub pin_locked: bool,
    /// Free and all memory for keys, in bytes, where the token says so.
    pub free_memory: Option<(u64, u64)>,
}

impl From<&SlotInfo> for SlotSeen {
    fn from(info: &SlotInfo) -> Self {
        Self {
            id: info.id,
            present: info.present,
            initialized: info.initialized,
            label: info.label.clone(),
            serial: info.serial.clone(),
            manufacturer: info.manufacturer.clone(),
            model: info.model.clone(),
            pin_count_low: info.pin_count_low,
            pin_final_try: info.pin_final_try,
            pin_locked: info.pin_locked,
            free_memory: info.free_memory,
        }
    }
}

/// The slot of the configured token, and a word where its number is not the configured one.
///
/// # Errors
/// When there is none, or several, each with what is there instead.
pub(crate) fn choose<'s>(
    slots: &'s [SlotInfo],
    config: &HsmProviderConfig,
) -> Result<(&'s SlotInfo, Option<String>), DeviceError> {
    let tokens: Vec<&SlotInfo> = slots.iter().filter(|slot| slot.initialized).collect();
    let by_name = config.token_label.is_some() || config.serial.is_some();
    let fits = |slot: &&&SlotInfo| {
        let label = config.token_label.as_ref().is_none_or(|label| *label == slot.label);
        let serial = config.serial.as_ref().is_none_or(|serial| *serial == slot.serial);
        let number = by_name || config.slot_id.is_none_or(|id| id == slot.id);
        label && serial && number
    };
    let found: Vec<&&SlotInfo> = tokens.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok((one, moved(one, config))),
        [] => Err(none(&tokens, config)),
        several => {
            let exact = several.iter().find(|slot| Some(slot.id) == config.slot_id);
            exact.map(|slot| (**slot, None)).ok_or_else(|| ambiguous(several, config))
        }
    }
}

fn moved(slot: &SlotInfo, config: &HsmProviderConfig) -> Option<String> {
    let configured = config.slot_id.filter(|id| *id != slot.id)?;
    Some(format!("token `{}` is now in slot {}, not {configured}", slot.label, slot.id))
}

fn none(tokens: &[&SlotInfo], config: &HsmProviderConfig) -> DeviceError {
    let hsm = &config.name;
    let wanted = match (&config.token_label, &config.serial, config.slot_id) {
        (Some(label), _, _) => format!("no token is labelled `{label}`"),
        (None, Some(serial), _) => format!("no token has the serial number `{serial}`"),
        (None, None, Some(id)) => format!("slot {id} holds no initialised token"),
        (None, None, None) => "no slot holds an initialised token".to_owned(),
    };
    let mut advice: Vec<String> = tokens.iter().map(|slot| name_it(slot)).collect();
    if tokens.is_empty() {
        advice.push(format!("initialise one: virtengine hsm init {hsm}"));
    }
    let there = list(tokens);
    settings(format!("HSM `{hsm}`: {wanted}; {there}"), advice)
}

fn ambiguous(found: &[&&SlotInfo], config: &HsmProviderConfig) -> DeviceError {
    let tokens: Vec<&SlotInfo> = found.iter().map(|slot| **slot).collect();
    let advice = found
        .iter()
        .map(|slot| format!("serial = \"{}\" names the one in slot {}", slot.serial, slot.id))
        .collect();
    settings(format!("HSM `{}`: several tokens fit; {}", config.name, list(&tokens)), advice)
}

fn name_it(slot: &SlotInfo) -> String {
    format!("token_label = \"{}\" names the token that is in slot {} now", slot.label, slot.id)
}

fn list(tokens: &[&SlotInfo]) -> String {
    if tokens.is_empty() {
        return "there is none".to_owned();
    }
    let names: Vec<String> = tokens
        .iter()
        .map(|slot| format!("`{}` (serial {}) in slot {}", slot.label, slot.serial, slot.id))
        .collect();
    format!("there are {}", names.join(", "))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn token(id: u64, label: &str, serial: &str) -> SlotInfo {
        SlotInfo {
            id,
            present: true,
            initialized: true,
            label: label.to_owned(),
            serial: serial.to_owned(),
            manufacturer: String::new(),
            model: String::new(),
            login_required: true,
            user_pin_set: true,
            pin_count_low: false,
            pin_final_try: false,
            pin_locked: false,
            max_sessions: None,
            free_memory: None,
        }
    }

    fn empty(id: u64) -> SlotInfo {
        SlotInfo { initialized: false, ..token(id, "", "") }
    }

    fn config() -> HsmProviderConfig {
        HsmProviderConfig::new("soft", "/lib/x.so")
    }

    #[test]
    fn label_wins_over_a_slot_number_that_moved() {
        let slots = [token(146_433_567, "VirtEngine", "1a"), empty(0)];
        let config = HsmProviderConfig {
            slot_id: Some(0),
            token_label: Some("VirtEngine".into()),
            ..config()
        };
        let (slot, word) = choose(&slots, &config).unwrap();
        assert_eq!(slot.id, 146_433_567);
        assert_eq!(word.unwrap(), "token `VirtEngine` is now in slot 146433567, not 0");
    }

    #[test]
    fn slot_number_without_a_token_is_explained_with_what_is_there() {
        let slots = [token(1732, "VirtEngine", "1a"), empty(0)];
        let error =
            choose(&slots, &HsmProviderConfig { slot_id: Some(0), ..config() }).unwrap_err();
        let expected = "HSM `soft`: slot 0 holds no initialised token; there are `VirtEngine` \
                        (serial 1a) in slot 1732";
        assert_eq!(error.message, expected);
        let named = "token_label = \"VirtEngine\" names the token that is in slot 1732 now";
        assert_eq!(error.advice, [named]);
    }

    #[test]
    fn only_token_needs_no_name_and_several_need_one() {
        let slots = [token(1, "a", "1"), token(2, "a", "2"), empty(3)];
        assert_eq!(choose(&slots[..1], &config()).unwrap().0.id, 1);
        assert!(choose(&slots, &config()).unwrap_err().message.contains("several tokens fit"));
        let by_serial = HsmProviderConfig { serial: Some("2".into()), ..config() };
        assert_eq!(choose(&slots, &by_serial).unwrap().0.id, 2);
        let same_label = HsmProviderConfig { token_label: Some("a".into()), ..config() };
        assert!(choose(&slots, &same_label).is_err());
        let and_slot = HsmProviderConfig { slot_id: Some(2), ..same_label };
        assert_eq!(choose(&slots, &and_slot).unwrap().0.id, 2);
        let none = choose(&slots[2..], &config()).unwrap_err();
        assert_eq!(none.advice, ["initialise one: virtengine hsm init soft"]);
    }
}
