//! Cosmos transactions in protobuf: the sign document of `SIGN_MODE_DIRECT`, and a transaction
//! itself (`cosmos.tx.v1beta1.SignDoc`, `TxRaw`).

use sha2::Digest;
use sha2::Sha256;

use crate::protobuf::Field;
use crate::protobuf::Value;
use crate::protobuf::fields;
use crate::transaction::Description;
use crate::transaction::Lines;
use crate::transaction::hex;

/// The most fields of one message.
const FIELDS: usize = 256;

pub(crate) fn describe(bytes: &[u8]) -> Option<Description> {
    sign_doc(bytes).or_else(|| raw(bytes))
}

/// `SignDoc`: body, auth info, chain id, account number.
fn sign_doc(bytes: &[u8]) -> Option<Description> {
    let document = Message::read(bytes, &[1, 2, 3, 4])?;
    let chain = document.text(3)?;
    let mut lines = Lines::default();
    lines.add("chain id", chain);
    lines.add("account number", document.number(4)?.to_string());
    body(&mut lines, document.bytes(1)?)?;
    auth_info(&mut lines, document.bytes(2)?)?;
    Some(lines.of("Cosmos transaction (direct)"))
}

/// `TxRaw`: body, auth info, signatures, of which there may be none yet.
fn raw(bytes: &[u8]) -> Option<Description> {
    let transaction = Message::read(bytes, &[1, 2, 3])?;
    let mut lines = Lines::default();
    body(&mut lines, transaction.bytes(1)?)?;
    auth_info(&mut lines, transaction.bytes(2)?)?;
    Some(lines.of("Cosmos transaction"))
}

fn body(lines: &mut Lines, bytes: &[u8]) -> Option<()> {
    let body = Message::read(bytes, &[1, 2, 3, 4, 5, 1023, 2047])?;
    let mut at = 0;
    for message in body.all(1) {
        at += 1;
        let any = Message::read(message?, &[1, 2])?;
        let (kind, value) = (any.text(1)?, any.bytes(2).unwrap_or_default());
        if !kind.starts_with('/') {
            return None;
        }
        lines.add(format!("message {at}"), kind);
        if kind != "/cosmos.bank.v1beta1.MsgSend" || send(lines, value).is_none() {
            let digest = hex(&Sha256::digest(value));
            lines.add("  content", format!("{} bytes, SHA-256 {digest}", value.len()));
        }
    }
    if at == 0 {
        return None; // what does nothing is something else
    }
    if let Some(memo) = body.text(2).filter(|memo| !memo.is_empty()) {
        lines.add("memo", memo);
    }
    match body.number(3) {
        Some(0) | None => {}
        Some(height) => lines.add("timeout height", height.to_string()),
    }
    Some(())
}

/// `cosmos.bank.v1beta1.MsgSend`.
fn send(lines: &mut Lines, bytes: &[u8]) -> Option<()> {
    let message = Message::read(bytes, &[1, 2, 3])?;
    let (from, to) = (message.text(1)?, message.text(2)?);
    let amount = coins(&message, 3)?;
    lines.add("  from", from);
    lines.add("  to", to);
    lines.add("  amount", amount);
    Some(())
}

fn auth_info(lines: &mut Lines, bytes: &[u8]) -> Option<()> {
    let info = Message::read(bytes, &[1, 2, 3])?;
    for signer in info.all(1) {
        let signer = Message::read(signer?, &[1, 2, 3])?;
        lines.add("sequence", signer.number(3).unwrap_or(0).to_string());
    }
    if let Some(fee) = info.bytes(2) {
        let fee = Message::read(fee, &[1, 2, 3, 4])?;
        lines.add("fee amount", coins(&fee, 1)?);
        lines.add("fee gas", fee.number(2).unwrap_or(0).to_string());
        for (number, name) in [(3, "fee payer"), (4, "fee granter")] {
            if let Some(who) = fee.text(number).filter(|who| !who.is_empty()) {
                lines.add(name, who);
            }
        }
    }
    Some(())
}

fn coins(message: &Message<'_>, number: u32) -> Option<String> {
    let mut shown = Vec::new();
    for coin in message.all(number) {
        let coin = Message::read(coin?, &[1, 2])?;
        shown.push(format!("{}{}", coin.text(2)?, coin.text(1)?));
    }
    Some(if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") })
}

/// A message all of whose fields are known.
struct Message<'a>(Vec<Field<'a>>);

impl<'a> Message<'a> {
    /// SPEC: cosmos-sdk ADR 020: a signer refuses a transaction with fields it does not know.
    fn read(bytes: &'a [u8], known: &[u32]) -> Option<Self> {
        let fields = fields(bytes, FIELDS)?;
        fields.iter().all(|field| known.contains(&field.number)).then_some(Self(fields))
    }

    fn all(&self, number: u32) -> impl Iterator<Item = Option<&'a [u8]>> {
        self.0.iter().filter(move |field| field.number == number).map(|field| match field.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32(_) => None,
        })
    }

    /// The one field of bytes of that number.
    fn bytes(&self, number: u32) -> Option<&'a [u8]> {
        let mut all = self.all(number);
        let first = all.next()??;
        all.next().is_none().then_some(first)
    }

    fn text(&self, number: u32) -> Option<&'a str> {
        std::str::from_utf8(self.bytes(number)?).ok()
    }

    fn number(&self, number: u32) -> Option<u64> {
        let mut all = self.0.iter().filter(|field| field.number == number);
        let first = all.next();
        match (first.map(|field| field.value), all.next()) {
            (Some(Value::Varint(value)), None) => Some(value),
            (None, _) => Some(0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::put_bytes;
    use crate::protobuf::put_varint;

    fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        fields.iter().for_each(|(number, bytes)| put_bytes(&mut out, *number, bytes));
        out
    }

    fn document(kind: &[u8]) -> Vec<u8> {
        let coin = message(&[(1, b"uve"), (2, b"1000")]);
        let send = message(&[(1, b"ve1a"), (2, b"ve1b"), (3, &coin)]);
        let body = message(&[(1, &message(&[(1, kind), (2, &send)])), (2, b"hello")]);
        let mut fee = message(&[(1, &coin)]);
        put_varint(&mut fee, 2, 200_000);
        let mut signer = Vec::new();
        put_varint(&mut signer, 3, 9);
        let mut document =
            message(&[(1, &body), (2, &message(&[(1, &signer), (2, &fee)])), (3, b"ve-1")]);
        put_varint(&mut document, 4, 7);
        document
    }

    #[test]
    fn direct_sign_document_is_shown_with_who_gets_how_much() {
        let described = describe(&document(b"/cosmos.bank.v1beta1.MsgSend")).unwrap();
        assert_eq!(described.kind, "Cosmos transaction (direct)");
        let shown: Vec<String> =
            described.lines.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            [
                "chain id=ve-1",
                "account number=7",
                "message 1=/cosmos.bank.v1beta1.MsgSend",
                "  from=ve1a",
                "  to=ve1b",
                "  amount=1000uve",
                "memo=hello",
                "sequence=9",
                "fee amount=1000uve",
                "fee gas=200000",
            ]
        );
    }

    #[test]
    fn unknown_messages_are_named_and_unknown_fields_make_it_opaque() {
        let described = describe(&document(b"/virtengine.market.v1.MsgCreateBid")).unwrap();
        assert!(
            described.lines.iter().any(|(name, value)| {
                name == "  content" && value.starts_with("25 bytes, SHA-256 ")
            }),
            "{described:?}"
        );
        let mut extra = document(b"/cosmos.bank.v1beta1.MsgSend");
        put_varint(&mut extra, 5, 1);
        assert_eq!(describe(&extra), None);
        let whole = document(b"/cosmos.bank.v1beta1.MsgSend");
        for cut in 0..whole.len() {
            _ = describe(&whole[..cut]); // whatever it is, no panic
        }
    }
}
