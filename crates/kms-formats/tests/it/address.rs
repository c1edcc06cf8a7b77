//! Addresses that other software made, and texts that are none.

use bech32::Bech32;
use bech32::Bech32m;
use bech32::ByteIterExt;
use bech32::Fe32;
use bech32::Fe32IterExt;
use bech32::Hrp;
use kms_formats::address::Address;
use kms_formats::address::AddressError;
use kms_formats::address::AddressKind;
use kms_formats::address::EthereumAddress;
use kms_formats::address::InvalidEthereumAddress;
use kms_formats::address::Prefix;
use kms_formats::algorithm::Algorithm;
use kms_formats::public::PublicKey;

use crate::fixture;

const KINDS: [(AddressKind, &str); 3] = [
    (AddressKind::Account, "ve"),
    (AddressKind::Operator, "vevaloper"),
    (AddressKind::Consensus, "vevalcons"),
];

fn secp256k1(digits: &serde_json::Value) -> PublicKey {
    let bytes = hex::decode(digits.as_str().unwrap()).unwrap();
    PublicKey::validated(Algorithm::Secp256k1, &bytes).unwrap()
}

fn account(text: &str) -> Result<Address, AddressError> {
    Address::from_bech32(text, &Prefix::default(), AddressKind::Account)
}

fn bech32_error(why: &str) -> Result<Address, AddressError> {
    Err(AddressError::Bech32(why.into()))
}

#[test]
fn cosmos_accounts_have_the_addresses_cosmjs_gives() {
    let accounts = fixture::json("cosmos/accounts.json");
    for entry in accounts.as_array().unwrap() {
        let address = Address::of_account(&secp256k1(&entry["public"])).unwrap();
        for prefix in ["ve", "cosmos"] {
            let Some(text) = entry[prefix].as_str() else { continue };
            let prefix: Prefix = prefix.parse().unwrap();
            assert_eq!(address.to_bech32(&prefix, AddressKind::Account), text);
            let upper = text.to_uppercase();
            for text in [text, &upper] {
                let read = Address::from_bech32(text, &prefix, AddressKind::Account);
                assert_eq!(read, Ok(address), "{text}");
            }
        }
    }
    assert_eq!(accounts.as_array().unwrap().len(), 3);
}

#[test]
fn vectors_private_and_public_halves_belong_together() {
    let mut entries = fixture::json("cosmos/accounts.json").as_array().unwrap().clone();
    entries.push(fixture::json("ethereum/account.json"));
    for entry in entries {
        let bytes = hex::decode(entry["private"].as_str().unwrap()).unwrap();
        let public = k256::SecretKey::from_slice(&bytes).unwrap().public_key().to_sec1_bytes();
        assert_eq!(hex::encode(public), entry["public"]);
    }
}

#[test]
fn every_kind_has_its_own_prefix_and_is_read_back() {
    let address = Address([0xa5; 20]);
    let prefix = Prefix::default();
    for (kind, hrp) in KINDS {
        let text = address.to_bech32(&prefix, kind);
        assert!(text.starts_with(&format!("{hrp}1")), "{text}");
        assert_eq!(Address::from_bech32(&text, &prefix, kind), Ok(address));
    }
}

#[test]
fn address_of_another_kind_or_chain_is_refused_and_both_are_named() {
    let prefix = Prefix::default();
    for (kind, found) in KINDS {
        let text = Address([0xa5; 20]).to_bech32(&prefix, kind);
        for (other, expected) in KINDS.into_iter().filter(|(other, _)| *other != kind) {
            let error = Address::from_bech32(&text, &prefix, other).unwrap_err();
            let (expected, found) = (expected.to_owned(), found.to_owned());
            let shown = format!("the address begins with `{found}`, expected `{expected}`");
            assert_eq!(error.to_string(), shown);
            assert_eq!(error, AddressError::Prefix { expected, found });
        }
    }
    let cosmos = fixture::json("cosmos/accounts.json")[0]["cosmos"].clone();
    let found = "cosmos".into();
    let error = AddressError::Prefix { expected: "ve".into(), found };
    assert_eq!(account(cosmos.as_str().unwrap()), Err(error));
}

#[test]
fn every_wrong_character_is_found() {
    let text = Address([0x3c; 20]).to_bech32(&Prefix::default(), AddressKind::Account);
    for place in 0..text.len() {
        for wrong in ["q", "p", "b", "1", "Q", "\u{e9}", ""] {
            let changed = format!("{}{wrong}{}", &text[..place], &text[place + 1..]);
            if changed != text {
                assert!(account(&changed).is_err(), "{changed}");
            }
        }
    }
}

#[test]
fn bech32m_is_no_bech32() {
    let text = bech32::encode::<Bech32m>(Hrp::parse("ve").unwrap(), &[7; 20]).unwrap();
    assert_eq!(account(&text), bech32_error("a character or the checksum is wrong"));
}

#[test]
fn bech32_of_another_length_is_refused() {
    for length in (0..=45).filter(|length| *length != 20) {
        let hrp = Hrp::parse("ve").unwrap();
        let text = bech32::encode::<Bech32>(hrp, &vec![7; length]).unwrap();
        assert_eq!(account(&text), Err(AddressError::Length), "{length}");
    }
    let long = format!("ve1{}", "q".repeat(88));
    assert_eq!(account(&long), bech32_error("longer than 90 characters"));
}

#[test]
fn bech32_with_padding_of_a_whole_character_is_refused() {
    let hrp = Hrp::parse("ve").unwrap();
    let text = |more: &[Fe32]| {
        let characters = [7; 20].into_iter().bytes_to_fes().chain(more.iter().copied());
        characters.with_checksum::<Bech32>(&hrp).chars().collect::<String>()
    };
    assert_eq!(account(&text(&[])), Ok(Address([7; 20])));
    assert_eq!(account(&text(&[Fe32::Q])), Err(AddressError::Length));
}

#[test]
fn hex_addresses_are_read_in_either_case_and_nothing_else() {
    let address = Address([0xab; 20]);
    assert_eq!(address.to_hex(), "AB".repeat(20));
    for text in ["AB", "ab", "Ab"] {
        assert_eq!(Address::from_hex(&text.repeat(20)), Ok(address));
    }
    for text in ["", "ab", &"ab".repeat(21), &"ab".repeat(19), &format!("0x{}", "ab".repeat(19))] {
        assert_eq!(Address::from_hex(text), Err(AddressError::Hex), "{text}");
    }
}

#[test]
fn keys_without_an_address_are_refused() {
    for algorithm in Algorithm::ALL {
        let key = fixture::public(algorithm);
        let none = |kind| Some(AddressError::Algorithm(algorithm, kind));
        let is_secp = algorithm == Algorithm::Secp256k1;
        let has_consensus = is_secp || algorithm == Algorithm::Ed25519;
        let account = Address::of_account(&key).err();
        assert_eq!(account, none("account").filter(|_| !is_secp));
        let consensus = Address::of_consensus(&key).err();
        assert_eq!(consensus, none("consensus").filter(|_| !has_consensus));
        let ethereum = EthereumAddress::of(&key).err();
        assert_eq!(ethereum, none("Ethereum").filter(|_| !is_secp));
    }
}

#[test]
fn prefixes_are_small_letters_and_digits() {
    for text in ["ve", "a", "cosmos", "c4e", &"a".repeat(20)] {
        assert_eq!(text.parse::<Prefix>().unwrap().as_str(), text);
    }
    for text in ["", "1ve", "Ve", "v-e", "v e", "vé", &"a".repeat(21)] {
        assert!(text.parse::<Prefix>().is_err(), "{text}");
    }
}

#[test]
fn longest_prefix_leaves_room_for_every_kind() {
    let prefix: Prefix = "a".repeat(20).parse().unwrap();
    for (kind, _) in KINDS {
        let text = Address([1; 20]).to_bech32(&prefix, kind);
        assert_eq!(Address::from_bech32(&text, &prefix, kind), Ok(Address([1; 20])));
    }
}

#[test]
fn ethereum_account_has_the_address_ethers_gives() {
    let entry = fixture::json("ethereum/account.json");
    let address = EthereumAddress::of(&secp256k1(&entry["public"])).unwrap();
    assert_eq!(address.to_string(), entry["address"]);
}

#[test]
fn eip_55_examples_are_read_and_written() {
    let text = fixture::text("ethereum/eip55.txt");
    assert_eq!(text.lines().count(), 4);
    for line in text.lines() {
        let address: EthereumAddress = line.parse().unwrap();
        assert_eq!(address.to_string(), line);
        for plain in [line[2..].to_lowercase(), line[2..].to_uppercase()] {
            assert_eq!(format!("0x{plain}").parse(), Ok(address), "without checksum");
        }
    }
}

#[test]
fn eip_55_with_the_case_of_one_letter_turned_is_refused() {
    let line = fixture::text("ethereum/eip55.txt").lines().next().unwrap().to_owned();
    let letters = (2..line.len()).filter(|place| line.as_bytes()[*place].is_ascii_alphabetic());
    for place in letters {
        let mut turned = line.clone().into_bytes();
        turned[place] ^= 0x20;
        let turned = String::from_utf8(turned).unwrap();
        let error = Err(InvalidEthereumAddress::Checksum);
        assert_eq!(turned.parse::<EthereumAddress>(), error, "{turned}");
    }
}

#[test]
fn texts_that_are_no_ethereum_address_are_refused() {
    let digits = "ab".repeat(20);
    for text in [
        "",
        "0x",
        &digits,
        &format!("0X{digits}"),
        &format!("0x{}", &digits[1..]),
        &format!("0x{digits}0"),
        &format!("0x{}g", &digits[1..]),
        &format!(" 0x{digits}"),
    ] {
        let error = Err(InvalidEthereumAddress::Form);
        assert_eq!(text.parse::<EthereumAddress>(), error, "{text}");
    }
}
