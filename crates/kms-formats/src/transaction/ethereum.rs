//! Unsigned Ethereum transactions: legacy with and without EIP-155, EIP-2930, EIP-1559.

use crate::address::EthereumAddress;
use crate::transaction::Description;
use crate::transaction::Lines;
use crate::transaction::hex;
use crate::transaction::rlp;
use crate::transaction::rlp::Item;

pub(crate) fn describe(bytes: &[u8]) -> Option<Description> {
    match bytes.split_first()? {
        (1, list) => access_list(list),
        (2, list) => fee_market(list),
        (0xc0.., _) => legacy(bytes),
        _ => None,
    }
}

fn legacy(bytes: &[u8]) -> Option<Description> {
    let Item::List(items) = rlp::read(bytes)? else { return None };
    let mut lines = Lines::default();
    let (nonce, price, gas, to, value, data) = match items.as_slice() {
        [nonce, price, gas, to, value, data] => {
            lines.add("chain id", "none: valid on every chain (before EIP-155)");
            (nonce, price, gas, to, value, data)
        }
        [nonce, price, gas, to, value, data, chain, Item::Bytes([]), Item::Bytes([])] => {
            lines.add("chain id", number(chain)?);
            (nonce, price, gas, to, value, data)
        }
        _ => return None,
    };
    transfer(&mut lines, nonce, (to, value, data))?;
    lines.add("gas limit", number(gas)?);
    lines.add("gas price", wei(price)?);
    Some(lines.of("Ethereum transaction (legacy)"))
}

/// EIP-2930.
fn access_list(bytes: &[u8]) -> Option<Description> {
    let Item::List(items) = rlp::read(bytes)? else { return None };
    let [chain, nonce, price, gas, to, value, data, Item::List(access)] = items.as_slice() else {
        return None;
    };
    let mut lines = Lines::default();
    lines.add("chain id", number(chain)?);
    transfer(&mut lines, nonce, (to, value, data))?;
    lines.add("gas limit", number(gas)?);
    lines.add("gas price", wei(price)?);
    lines.add("access list", format!("{} addresses", access.len()));
    Some(lines.of("Ethereum transaction (EIP-2930)"))
}

/// EIP-1559.
fn fee_market(bytes: &[u8]) -> Option<Description> {
    let Item::List(items) = rlp::read(bytes)? else { return None };
    let [chain, nonce, tip, fee, gas, to, value, data, Item::List(access)] = items.as_slice()
    else {
        return None;
    };
    let mut lines = Lines::default();
    lines.add("chain id", number(chain)?);
    transfer(&mut lines, nonce, (to, value, data))?;
    lines.add("gas limit", number(gas)?);
    lines.add("greatest fee per gas", wei(fee)?);
    lines.add("greatest tip per gas", wei(tip)?);
    lines.add("access list", format!("{} addresses", access.len()));
    Some(lines.of("Ethereum transaction (EIP-1559)"))
}

fn transfer(
    lines: &mut Lines,
    nonce: &Item<'_>,
    (to, value, data): (&Item<'_>, &Item<'_>, &Item<'_>),
) -> Option<()> {
    lines.add("nonce", number(nonce)?);
    let Item::Bytes(to) = to else { return None };
    let to = match to {
        [] => "nobody: it makes a contract".to_owned(),
        address => EthereumAddress(<[u8; 20]>::try_from(*address).ok()?).to_string(),
    };
    lines.add("to", to);
    lines.add("value", wei(value)?);
    let Item::Bytes(data) = data else { return None };
    match data.split_at_checked(4) {
        _ if data.is_empty() => {}
        Some((selector, rest)) => {
            lines.add("calls", format!("0x{} with {} bytes", hex(selector), rest.len()));
            lines.add("data", format!("0x{}", hex(data)));
        }
        None => lines.add("data", format!("0x{}", hex(data))),
    }
    Some(())
}

/// A whole number without zeros before it, at most 256 bits: decimal where 128 bits hold it.
fn number(item: &Item<'_>) -> Option<String> {
    let Item::Bytes(bytes) = item else { return None };
    if bytes.len() > 32 || bytes.first() == Some(&0) {
        return None;
    }
    if bytes.len() > 16 {
        return Some(format!("0x{}", hex(bytes)));
    }
    Some(bytes.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte)).to_string())
}

fn wei(item: &Item<'_>) -> Option<String> {
    Some(format!("{} wei", number(item)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> (&'static str, Vec<String>) {
        let described = describe(&::hex::decode(text).unwrap()).unwrap();
        let shown = described.lines.into_iter().map(|(name, value)| format!("{name}={value}"));
        (described.kind, shown.collect())
    }

    // The example of EIP-155.
    #[test]
    fn legacy_transaction_is_shown() {
        let text = "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
        let (kind, shown) = lines(text);
        assert_eq!(kind, "Ethereum transaction (legacy)");
        assert_eq!(
            shown,
            [
                "chain id=1",
                "nonce=9",
                "to=0x3535353535353535353535353535353535353535",
                "value=1000000000000000000 wei",
                "gas limit=21000",
                "gas price=20000000000 wei",
            ]
        );
    }

    #[test]
    fn typed_transactions_are_shown() {
        // chain 1, nonce 2, tip 3, fee 4, gas 5, to, value 6, data 01020304ff, no access list
        let to = "3535353535353535353535353535353535353535";
        let (kind, shown) =
            lines(&format!("02e20102030405 94{to} 06 85 01020304ff c0").replace(' ', ""));
        assert_eq!(kind, "Ethereum transaction (EIP-1559)");
        assert!(shown.contains(&"calls=0x01020304 with 1 bytes".to_owned()), "{shown:?}");
        let (kind, _) = lines(&format!("01dc01020304 94{to} 06 80 c0").replace(' ', ""));
        assert_eq!(kind, "Ethereum transaction (EIP-2930)");
        assert_eq!(describe(&[2, 0xc1, 1]), None);
    }
}
