//! What a signer signed last, as files: CometBFT's `priv_validator_state.json`, TMKMS's and Horcrux's
//! state, which are told apart by their fields.
//!
//! ```text
//! CometBFT  {"height":"100","round":0,"step":3,"signature":"<base64>","signbytes":"<HEX>"}
//! Horcrux   {"height":"100","round":"0","step":3,…,"signature":"<base64>","signbytes":"<HEX>"}
//! TMKMS     {"height":"100","round":"0","step":2,"block_id":{…}}   steps 0, 1, 2; before 0.12 also 3, 6
//! ```
//!
//! Heights and rounds are numbers or texts of numbers, as different releases wrote them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// The longest file that is read, in bytes.
pub const STATE_BYTES: usize = 64 << 10;

/// What was signed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignState {
    /// The height; 0 before the first.
    pub height: i64,
    /// The round.
    pub round: i32,
    /// The step: 1 proposal, 2 prevote, 3 precommit; 0 before the first of a round.
    pub step: u8,
    /// The signed bytes and the signature over them, where the file has both.
    pub last: Option<Signed>,
}

/// Bytes that were signed, and the signature over them.
type Signed = (Vec<u8>, Vec<u8>);

/// Why a file is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidState {
    /// It is longer than any.
    #[error("a state has at most {STATE_BYTES} bytes")]
    TooLong,
    /// It is no JSON object.
    #[error("not a JSON object")]
    NotJson,
    /// A field is missing or no such number.
    #[error("`{0}` is missing or not what it should be")]
    Field(&'static str),
}

impl SignState {
    /// Reads the state of CometBFT, Horcrux or TMKMS.
    ///
    /// # Errors
    /// [`InvalidState`]; an empty file is none, since it says nothing of what was signed.
    pub fn parse(file: &[u8]) -> Result<Self, InvalidState> {
        if file.len() > STATE_BYTES {
            return Err(InvalidState::TooLong);
        }
        let value: Value = serde_json::from_slice(file).map_err(|_| InvalidState::NotJson)?;
        let fields = value.as_object().ok_or(InvalidState::NotJson)?;
        let height = number(fields, "height").filter(|height| *height >= 0);
        let round = number(fields, "round").and_then(|round| i32::try_from(round).ok());
        let step = number(fields, "step").and_then(|step| u8::try_from(step).ok());
        let step =
            step.and_then(|step| if is_of_tmkms(fields) { of_tmkms(step) } else { Some(step) });
        Ok(Self {
            height: height.ok_or(InvalidState::Field("height"))?,
            round: round.filter(|round| *round >= 0).ok_or(InvalidState::Field("round"))?,
            step: step.filter(|step| *step <= 3).ok_or(InvalidState::Field("step"))?,
            last: last(fields)?,
        })
    }

    /// Writes it as CometBFT does.
    pub fn to_comet_json(&self) -> String {
        let mut state = json!({
            "height": self.height.to_string(), "round": self.round, "step": self.step,
        });
        if let (Some((sign_bytes, signature)), Some(fields)) = (&self.last, state.as_object_mut()) {
            fields.insert("signature".to_owned(), STANDARD.encode(signature).into());
            fields.insert("signbytes".to_owned(), hex::encode_upper(sign_bytes).into());
        }
        format!("{state:#}\n")
    }
}

/// TMKMS counts steps from 0 and keeps the block instead of the bytes.
fn is_of_tmkms(fields: &Map<String, Value>) -> bool {
    !fields.contains_key("signature")
        && !fields.contains_key("signbytes")
        && (fields.contains_key("block_id") || fields.get("round").is_some_and(Value::is_string))
}

fn of_tmkms(step: u8) -> Option<u8> {
    match step {
        0..=2 => Some(step + 1),
        3 => Some(2), // before 0.12: prevote 3, precommit 6
        6 => Some(3),
        _ => None,
    }
}

fn last(fields: &Map<String, Value>) -> Result<Option<Signed>, InvalidState> {
    let text =
        |name| fields.get(name).and_then(Value::as_str).filter(|text: &&str| !text.is_empty());
    let (Some(signature), Some(sign_bytes)) = (text("signature"), text("signbytes")) else {
        return Ok(None);
    };
    let signature = STANDARD.decode(signature).ok().filter(|bytes| bytes.len() == 64);
    let sign_bytes = hex::decode(sign_bytes).ok().filter(|bytes| bytes.len() <= 256);
    Ok(Some((
        sign_bytes.ok_or(InvalidState::Field("signbytes"))?,
        signature.ok_or(InvalidState::Field("signature"))?,
    )))
}

fn number(fields: &Map<String, Value>, name: &str) -> Option<i64> {
    match fields.get(name)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: &str) -> (i64, i32, u8) {
        let state = SignState::parse(file.as_bytes()).unwrap();
        (state.height, state.round, state.step)
    }

    #[test]
    fn state_of_cometbft_is_read_and_written_back() {
        let signature = STANDARD.encode([7; 64]);
        let file = format!(
            r#"{{"height":"100","round":2,"step":3,"signature":"{signature}","signbytes":"6E0802"}}"#
        );
        let state = SignState::parse(file.as_bytes()).unwrap();
        assert_eq!((state.height, state.round, state.step), (100, 2, 3));
        assert_eq!(state.last, Some((vec![0x6e, 8, 2], vec![7; 64])));
        assert_eq!(SignState::parse(state.to_comet_json().as_bytes()), Ok(state));
        assert_eq!(at(r#"{"height":"0","round":0,"step":0}"#), (0, 0, 0));
    }

    #[test]
    fn steps_of_tmkms_are_one_less_or_of_the_old_kind() {
        let of =
            |step| at(&format!(r#"{{"height":"9","round":"1","step":{step},"block_id":null}}"#));
        assert_eq!([0, 1, 2, 3, 6].map(of), [1, 2, 3, 2, 3].map(|step| (9, 1, step)));
        assert_eq!(at(r#"{"height":"9","round":"1","step":2}"#), (9, 1, 3));
    }

    #[test]
    fn state_of_horcrux_is_read() {
        let signature = STANDARD.encode([7; 64]);
        let file = format!(
            r#"{{"height":"7","round":"1","step":2,"nonce_public":"","signature":"{signature}",
               "signbytes":"AA","vote_ext_signature":null}}"#
        );
        assert_eq!(at(&file), (7, 1, 2));
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for (file, why) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{}", "`height` is missing or not what it should be"),
            (r#"{"height":"-1","round":0,"step":1}"#, "`height`"),
            (r#"{"height":"9223372036854775808","round":0,"step":1}"#, "`height`"),
            (r#"{"height":"1","round":-1,"step":1}"#, "`round`"),
            (r#"{"height":"1","round":0,"step":4}"#, "`step`"),
            (r#"{"height":"1","round":"0","step":9}"#, "`step`"),
            (
                r#"{"height":"1","round":0,"step":1,"signature":"AA==","signbytes":"AA"}"#,
                "`signature`",
            ),
        ] {
            let error = SignState::parse(file.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{file}: {error}");
        }
        let long = vec![b' '; STATE_BYTES + 1];
        assert_eq!(SignState::parse(&long), Err(InvalidState::TooLong));
    }
}
