//! What CometBFT signs, asks and answers.

use kms_formats::algorithm::Algorithm;
use kms_formats::comet::ChainId;
use kms_formats::comet::Message;
use kms_formats::comet::Time;
use kms_formats::comet::canonical::SIGN_BYTES;
use kms_formats::comet::canonical::extension_bytes;
use kms_formats::comet::canonical::sign_bytes;
use kms_formats::comet::canonical::time_of;
use kms_formats::comet::privval::Dialect;
use kms_formats::comet::privval::InvalidRequest;
use kms_formats::comet::privval::Kind;
use kms_formats::comet::privval::Request;
use kms_formats::comet::privval::Response;
use kms_formats::comet::privval::Signed;
use kms_formats::comet::privval::decode;
use kms_formats::comet::privval::encode;
use kms_formats::public::PublicKey;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use crate::fixture;

const DIALECTS: [Dialect; 3] = [Dialect::V0_34, Dialect::V0_38, Dialect::V1_0];

fn vectors() -> Vec<Value> {
    let text = fixture::text("cometbft/privval-v0.38.25.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    hex::decode(vector[name].as_str().unwrap_or_default()).unwrap()
}

fn asked(vector: &Value) -> (Message, ChainId) {
    match decode(&bytes(vector, "request"), Dialect::V0_38).unwrap() {
        Request::Sign { message, chain, skips_extension: false } => (message, chain),
        other => panic!("{other:?}"),
    }
}

#[test]
fn signed_bytes_are_those_of_cometbft() {
    let mut extensions = 0;
    for vector in vectors() {
        let (message, chain) = asked(&vector);
        assert_eq!(chain.as_str(), vector["chain"]);
        let signed = sign_bytes(&message, &chain);
        assert_eq!(signed, bytes(&vector, "sign"), "{message:?}");
        assert!(signed.len() <= SIGN_BYTES, "{}", signed.len());
        assert_eq!(time_of(&signed), Some(message.time()));
        let Message::Vote(vote) = message else { continue };
        assert_eq!(vote.extends(), vector["extension"].is_string());
        if vote.extends() {
            assert_eq!(extension_bytes(&vote, &chain), bytes(&vector, "extension"), "{vote:?}");
            extensions += 1;
        }
    }
    assert!(extensions > 5, "{extensions}");
}

#[test]
fn answers_are_those_of_cometbft() {
    for vector in vectors() {
        let signature = vec![1; 64];
        let response = match asked(&vector).0 {
            Message::Vote(vote) => {
                let extension_signature = vote.extends().then(|| vec![2; 64]);
                Response::Vote(Signed { message: vote, signature, extension_signature })
            }
            Message::Proposal(message) => {
                Response::Proposal(Signed { message, signature, extension_signature: None })
            }
        };
        assert_eq!(encode(&response, Dialect::V0_38), bytes(&vector, "response"), "{response:?}");
    }
}

#[test]
fn longest_chain_id_and_largest_numbers_fit_what_is_kept() {
    let chain: ChainId = "c".repeat(50).parse().unwrap();
    let whole = |message: &Message| message.block().is_some();
    let message = vectors().iter().map(|vector| asked(vector).0).find(whole).unwrap();
    let Message::Vote(mut vote) = message else { panic!() };
    (vote.height, vote.round) = (i64::MAX, i32::MAX);
    vote.block.as_mut().unwrap().parts = u32::MAX;
    let message = Message::Vote(vote).at(Time { seconds: -1, nanos: 999_999_999 });
    assert!(sign_bytes(&message, &chain).len() <= SIGN_BYTES);
}

#[test]
fn pings_and_keys_are_written_as_nodes_write_them() {
    let hex = |text: &str| hex::decode(text).unwrap();
    for dialect in DIALECTS {
        assert_eq!(decode(&hex("3a00"), dialect), Ok(Request::Ping));
        assert_eq!(encode(&Response::Ping, dialect), hex("4200"));
        assert_eq!(decode(&hex("0a00"), dialect), Ok(Request::PublicKey { chain: None }));
    }
    let key =
        PublicKey::validated(Algorithm::Ed25519, fixture::public(Algorithm::Ed25519).as_bytes());
    let key = key.unwrap();
    let digits = hex::encode(key.as_bytes());
    let response = Response::PublicKey(key);
    assert_eq!(encode(&response, Dialect::V0_38), hex(&format!("12240a220a20{digits}")));
    let v1 = format!("122b1a20{digits}220765643235353139");
    assert_eq!(encode(&response, Dialect::V1_0), hex(&v1));
}

#[test]
fn refusals_answer_the_request_and_are_cut_to_what_a_node_takes() {
    let refused =
        |kind, why: &str| encode(&Response::Refused { kind, why: why.to_owned() }, Dialect::V0_38);
    assert_eq!(hex::encode(refused(Kind::Vote, "no")), "2208120608011202 6e6f".replace(' ', ""));
    for (kind, tag) in [(Kind::PublicKey, 0x12), (Kind::Vote, 0x22), (Kind::Proposal, 0x32)] {
        assert_eq!(refused(kind, "no")[0], tag);
    }
    let long = refused(Kind::Vote, &"ä".repeat(5000));
    assert!((1000..1100).contains(&long.len()), "{}", long.len());
}

/// A field of a message: number and contents.
fn field(number: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let length = contents.len();
    if length < 128 {
        out.push(u8::try_from(length).unwrap());
    } else {
        out.extend([(length % 128) | 0x80, length / 128].map(|n| u8::try_from(n).unwrap()));
    }
    out.extend_from_slice(contents);
    out
}

fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// A request for a signature over a vote of these fields.
fn vote_of(fields: &[Vec<u8>]) -> Vec<u8> {
    field(3, &[field(1, &fields.concat()), field(2, b"c")].concat())
}

#[test]
fn what_is_no_vote_is_refused_and_told() {
    let block = |hash: usize, total, parts: usize| {
        let header = [number(1, total), field(2, &vec![7; parts])].concat();
        field(4, &[field(1, &vec![7; hash]), field(2, &header)].concat())
    };
    let (height, time) = (number(2, 9), field(5, &[]));
    let base = |kind| vec![number(1, kind), height.clone(), time.clone()];
    let with = |more: Vec<u8>| {
        let mut fields = base(2);
        fields.push(more);
        vote_of(&fields)
    };
    assert!(decode(&vote_of(&base(1)), Dialect::V0_38).is_ok());
    assert!(decode(&with(block(32, 1, 32)), Dialect::V0_38).is_ok());
    let negative = [0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1].to_vec();
    let refused = [
        (vote_of(&base(32)), "vote is neither a prevote nor a precommit"),
        (vote_of(&base(0)), "vote is neither a prevote nor a precommit"),
        (vote_of(&[number(1, 1), time.clone()]), "height is not above zero"),
        (vote_of(&[number(1, 1), height.clone()]), "timestamp is missing"),
        (with(negative), "round is no int32 from zero"),
        (with(block(32, 0, 32)), "block id is neither empty nor whole"),
        (with(block(32, 1, 0)), "block id is neither empty nor whole"),
        (with(block(0, 1, 32)), "block id is neither empty nor whole"),
        (with(block(31, 1, 32)), "block id is neither empty nor whole"),
        (with(block(33, 1, 32)), "block id is neither empty nor whole"),
        (with(field(9, b"x")), "extension on a vote that is no precommit for a block"),
        (with(field(8, &[1; 64])), "vote is signed already"),
        (with(number(2, 9)), "field stands there twice"),
        (with(field(11, b"x")), "field is unknown"),
        (with(field(6, &[1; 21])), "validator address is longer than 20 bytes"),
        (with(field(7, b"x")), "field has another kind"),
        (vote_of(&[vec![0x0b]]), "message is malformed"),
        (field(3, &field(2, b"c")), "vote is missing"),
        (field(3, &field(1, &base(1).concat())), "chain id is missing"),
    ];
    for (request, why) in refused {
        let expected = Err(InvalidRequest::Refused { kind: Kind::Vote, why });
        assert_eq!(decode(&request, Dialect::V0_38), expected);
    }
}

#[test]
fn dialects_differ_in_what_they_know() {
    let extended = vectors().into_iter().find(|vector| {
        let (message, _) = asked(vector);
        matches!(message, Message::Vote(vote) if !vote.extension.is_empty())
    });
    let request = bytes(&extended.unwrap(), "request");
    let why = "field is unknown";
    let expected = Err(InvalidRequest::Refused { kind: Kind::Vote, why });
    assert_eq!(decode(&request, Dialect::V0_34), expected);
    let raw = field(9, &field(1, b"anything"));
    let why = "raw bytes are not signed: they may be a vote";
    let expected = Err(InvalidRequest::Refused { kind: Kind::Bytes, why });
    assert_eq!(decode(&raw, Dialect::V1_0), expected);
    let not_known = Err(InvalidRequest::NotAMessage(Dialect::V0_38));
    assert_eq!(decode(&raw, Dialect::V0_38), not_known);
    let vote = [number(1, 2), number(2, 9), field(5, &[])].concat();
    let skipping = field(3, &[field(1, &vote), field(2, b"c"), number(3, 1)].concat());
    let read = decode(&skipping, Dialect::V1_0);
    assert!(matches!(read, Ok(Request::Sign { skips_extension: true, .. })), "{read:?}");
    assert!(decode(&skipping, Dialect::V0_38).is_err());
    for (text, dialect) in
        [("v0.37", Dialect::V0_34), ("0.40", Dialect::V0_38), ("v1", Dialect::V1_0)]
    {
        assert_eq!(text.parse(), Ok(dialect));
    }
    assert!("v0.33".parse::<Dialect>().is_err());
}

proptest! {
    #[test]
    fn bytes_from_nowhere_are_refused_or_read(bytes in vec(any::<u8>(), 0..400)) {
        _ = time_of(&bytes);
        for dialect in DIALECTS {
            _ = decode(&bytes, dialect);
            for number in [1, 3, 5, 7, 9] {
                _ = decode(&field(number, &bytes), dialect);
            }
        }
    }

    #[test]
    fn one_changed_byte_of_a_request_signs_something_else_or_nothing(
        which in 0..80_usize, place in any::<prop::sample::Index>(), bit in 0..8
    ) {
        let vector = &vectors()[which];
        let mut request = bytes(vector, "request");
        let place = place.index(request.len());
        request[place] ^= 1_u8 << bit;
        if let Ok(Request::Sign { message, chain, .. }) = decode(&request, Dialect::V0_38) {
            let unsigned = |m: &Message| match m {
                Message::Vote(v) => (v.validator_address.clone(), v.validator_index, v.extension.clone()),
                Message::Proposal(_) => (Vec::new(), 0, Vec::new()),
            };
            let (before, _) = asked(vector);
            let same = sign_bytes(&message, &chain) == bytes(vector, "sign");
            prop_assert!(!same || unsigned(&message) != unsigned(&before));
        }
    }
}
