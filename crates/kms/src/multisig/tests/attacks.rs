//! What is tried against an operation.

use k256::ecdsa::signature::Signer;
use kms_formats::signature::EcdsaSignature;

use super::*;
use crate::multisig::Closed;
use crate::multisig::OperationState;
use crate::multisig::Outcome;
use crate::multisig::cancel;
use crate::multisig::complete;
use crate::multisig::expire;
use crate::multisig::tally;

const SIGNERS: [(&str, u32); 3] = [("CEO", 1), ("CTO", 1), ("Security", 1)];

fn add(
    key: &MultiSigKey,
    operation: &Operation,
    name: &str,
    bytes: &[u8],
) -> Result<Operation, Refusal> {
    let by = SignerRef::Label(label(name));
    add_signature((key, operation, MESSAGE), (&by, bytes), "p-02", &at(1))
}

// Attack 19, regression 6: bytes that are no signature of a signer over exactly this.
#[test]
fn only_a_signers_signature_over_this_operation_is_taken() {
    let key = key(2, &SIGNERS);
    let [one, other] = [1, 2].map(|number| operation(&key, number, MESSAGE));
    let invalid =
        Err(Refusal::InvalidSignature { signer: label("CEO"), algorithm: Algorithm::Ed25519 });
    assert_eq!(add(&key, &one, "CEO", &[7; 128]), invalid);
    assert_eq!(add(&key, &one, "CEO", &[]), invalid);
    assert_eq!(add(&key, &one, "CEO", &signature(&key, &other, ("CEO", MESSAGE))), invalid);
    assert_eq!(add(&key, &one, "CEO", &signature(&key, &one, ("CTO", MESSAGE))), invalid);
    assert_eq!(add(&key, &one, "CEO", pair("CEO").sign(MESSAGE).as_ref()), invalid);
    let mut later = one.clone();
    later.expires_at = later.expires_at.plus_seconds(1);
    assert_eq!(add(&key, &one, "CEO", &signature(&key, &later, ("CEO", MESSAGE))), invalid);
    let stranger = SignerRef::Key(public("stranger"));
    let bytes = signature(&key, &one, ("stranger", MESSAGE));
    let refused = add_signature((&key, &one, MESSAGE), (&stranger, &bytes), "p-02", &at(1));
    assert!(
        refused.unwrap_err().to_string().starts_with("signer not authorized for this multisig")
    );
}

// The same signers and threshold under another name: nothing carries over.
#[test]
fn signature_for_one_multisig_key_counts_under_no_other() {
    let one = key(2, &SIGNERS);
    let other = key(3, &SIGNERS);
    let (a, b) = (operation(&one, 1, MESSAGE), operation(&other, 1, MESSAGE));
    let bytes = signature(&one, &a, ("CEO", MESSAGE));
    assert!(add(&one, &a, "CEO", &bytes).is_ok());
    assert!(add(&other, &b, "CEO", &bytes).is_err());
}

// Attack 21: one signer, however key and signature are written, counts once.
#[test]
fn same_key_and_signature_written_differently_count_once() {
    let secret = k256::ecdsa::SigningKey::from_slice(&[5; 32]).unwrap();
    let point = |compress| secret.verifying_key().to_sec1_point(compress);
    let [short, long] = [true, false]
        .map(|compress| PublicKey::validated(Algorithm::Secp256k1, point(compress).as_bytes()));
    let (short, long) = (short.unwrap(), long.unwrap());
    let both = vec![
        AuthorizedSigner { public_key: short.clone(), ..signer("a", 1) },
        AuthorizedSigner { public_key: long.clone(), ..signer("b", 1) },
    ];
    assert!(MultiSigKey::new(wanted(2, both), "p-01", now()).is_err());

    let signers = vec![AuthorizedSigner { public_key: short, ..signer("a", 1) }, signer("b", 1)];
    let key = MultiSigKey::new(wanted(2, signers), "p-01", now()).unwrap();
    let begun = operation(&key, 1, MESSAGE);
    let made: k256::ecdsa::Signature = secret.sign(&sign_bytes(&key, &begun, MESSAGE));
    let low = EcdsaSignature::from_bytes(&made.to_bytes()).unwrap();
    let high = k256::ecdsa::Signature::from_scalars(made.r().to_bytes(), {
        let negated = -*made.s();
        negated.to_bytes()
    });
    let high = EcdsaSignature::from_bytes(&high.unwrap().to_bytes()).unwrap();
    let forms = [low.as_bytes().to_vec(), low.to_der(), high.as_bytes().to_vec(), high.to_der()];
    let stored: Vec<Operation> =
        forms.iter().map(|bytes| add(&key, &begun, "a", bytes).unwrap()).collect();
    for one in &stored {
        assert_eq!(one.signatures, stored[0].signatures, "one form is kept");
        for bytes in &forms {
            assert_eq!(add(&key, one, "A", bytes), Err(Refusal::Duplicate(label("a"))));
            let by = SignerRef::Key(long.clone());
            let again = add_signature((&key, one, MESSAGE), (&by, bytes), "p-02", &at(1));
            assert_eq!(again, Err(Refusal::Duplicate(label("a"))));
        }
        assert_eq!(tally(&key, one, &at(2)).weight, 1);
    }
}

// Regression 7: cancelled, expired and completed operations take nothing and do nothing.
#[test]
fn what_is_over_stays_over() {
    let key = key(2, &SIGNERS);
    let mut met = operation(&key, 1, MESSAGE);
    for name in ["CEO", "CTO"] {
        met = signed(&key, &met, name, &at(1)).unwrap();
    }
    let reason = "no".parse().unwrap();
    let cancelled = cancel((&key, &met), ("p-01", &reason), &at(2)).unwrap();
    let completed = complete((&key, &met, MESSAGE), "p-01", &at(2)).unwrap();
    let late = at(24 * 3600);
    let expired = expire(&met, late.now).unwrap();
    for (over, state) in [
        (&cancelled, OperationState::Cancelled),
        (&completed, OperationState::Complete),
        (&expired, OperationState::Expired),
    ] {
        for present in [at(3), at(0), at(48 * 3600)] {
            assert_eq!(tally(&key, over, &present).state, state);
            assert!(signed(&key, over, "Security", &present).is_err());
            assert!(complete((&key, over, MESSAGE), "p-01", &present).is_err());
            assert!(cancel((&key, over), ("p-01", &reason), &present).is_err());
            assert_eq!(expire(over, present.now), None);
        }
    }
    // Past its expiry it is expired, though nothing has recorded that; one moment before it is not.
    assert_eq!(tally(&key, &met, &late).state, OperationState::Expired);
    assert!(complete((&key, &met, MESSAGE), "p-01", &at(24 * 3600 - 1)).is_ok());
    let timed_out = complete((&key, &met, MESSAGE), "p-01", &late).unwrap_err().to_string();
    let expected = format!(
        "operation timed out waiting for signatures: {} expired 2026-11-24T21:45:00.000000Z, has \
         weight 2, needs 2; signed: CEO, CTO; missing: Security",
        met.id
    );
    assert_eq!(timed_out, expected);
}

#[test]
fn threshold_is_counted_anew_when_it_is_completed() {
    let mut wanted = wanted(2, SIGNERS.map(|(name, weight)| signer(name, weight)).into());
    wanted.signers[1].expires_at = Some(now().plus_seconds(100));
    wanted.signers[2].owner = Some("p-03".to_owned());
    let key = MultiSigKey::new(wanted, "p-01", now()).unwrap();
    let mut met = operation(&key, 1, MESSAGE);
    for name in ["CEO", "CTO"] {
        met = signed(&key, &met, name, &at(1)).unwrap();
    }
    let done = |operation: &Operation, present: &Present<'_>| {
        complete((&key, operation, MESSAGE), "p-01", present).is_ok()
    };
    assert!(done(&met, &at(99)));
    assert!(!done(&met, &at(100)), "a signer's time is over");
    let ceo = public("CEO");
    let is_stopped = |key: &PublicKey| *key == ceo;
    assert!(!done(&met, &Present { is_stopped: &is_stopped, ..at(2) }), "a key was stopped");
    let three = signed(&key, &met, "Security", &at(1)).unwrap();
    assert!(done(&three, &at(100)));
    let is_active = |owner: &str| owner != "p-03";
    assert!(!done(&three, &Present { is_active: &is_active, ..at(100) }), "an owner is gone");
    // What was put into the record by other ways than a signature counts for nothing.
    let mut forged = operation(&key, 1, MESSAGE);
    forged.signatures = three.signatures.clone();
    forged.signatures.iter_mut().for_each(|one| one.signature = "00".repeat(64));
    assert!(!done(&forged, &at(2)));
    assert!(complete((&key, &three, b"another message"), "p-01", &at(2)).is_err());
}

#[test]
fn nothing_and_too_much_cannot_be_agreed_on() {
    let key = key(2, &SIGNERS);
    let new = |message| New {
        id: OperationId::new(now(), [1; 8]),
        message,
        description: "x".parse().unwrap(),
        initiator: "p-01",
        asked_by: None,
    };
    assert_eq!(initiate(&key, new(b""), &at(0)), Err(Refusal::EmptyMessage));
    let long = vec![0; crate::multisig::MESSAGE_LIMIT + 1];
    let refused = Err(Refusal::MessageTooLong(crate::multisig::MESSAGE_LIMIT + 1));
    assert_eq!(initiate(&key, new(&long), &at(0)), refused);
    let act = b"virtengine act v1\n{}";
    assert!(matches!(initiate(&key, new(act), &at(0)), Err(Refusal::OtherAct(_))));
    let everyone_stopped = Present { is_stopped: &|_| true, ..at(0) };
    let refused = initiate(&key, new(MESSAGE), &everyone_stopped).unwrap_err();
    assert!(matches!(refused, Refusal::NobodyLeft { threshold: 2, reachable: 0, .. }), "{refused}");
}

#[test]
fn closing_times_are_of_the_end_itself() {
    let key = key(2, &SIGNERS);
    let operation = operation(&key, 1, MESSAGE);
    assert_eq!(expire(&operation, at(24 * 3600 - 1).now), None);
    let expired = expire(&operation, at(99 * 3600).now).unwrap().closed.unwrap();
    let ended = Closed { at: operation.expires_at, by: None, outcome: Outcome::Expired };
    assert_eq!(expired, ended);
}
