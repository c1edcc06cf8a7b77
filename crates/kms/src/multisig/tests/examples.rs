//! The specification's examples, for every subset of their signers.

use super::*;
use crate::multisig::InvalidConfig;
use crate::multisig::OperationState;
use crate::multisig::complete;
use crate::multisig::reminder;
use crate::multisig::statement;
use crate::multisig::tally;

const THREE: [(&str, u32); 3] = [("CEO", 1), ("CTO", 1), ("Security", 1)];
const FIVE: [(&str, u32); 5] = [("CEO", 2), ("CTO", 1), ("CFO", 1), ("Legal", 1), ("Security", 1)];

/// Completes with exactly the signers of each subset where `approved` says so.
fn every_subset(
    threshold: u64,
    signers: &[(&str, u32)],
    approved: impl Fn(&[&str]) -> bool,
) -> usize {
    let key = key(threshold, signers);
    let mut completed = 0;
    for subset in 0..1_usize << signers.len() {
        let names: Vec<&str> = signers
            .iter()
            .enumerate()
            .filter(|(place, _)| subset >> place & 1 == 1)
            .map(|(_, (name, _))| *name)
            .collect();
        let mut operation = operation(&key, 1, MESSAGE);
        for name in &names {
            operation = signed(&key, &operation, name, &at(1)).unwrap();
        }
        let met = tally(&key, &operation, &at(2)).state == OperationState::ThresholdMet;
        let done = complete((&key, &operation, MESSAGE), "p-01", &at(2));
        assert_eq!((met, done.is_ok()), (approved(&names), approved(&names)), "{names:?}");
        completed += usize::from(done.is_ok());
    }
    completed
}

// SPEC: "Create 2-of-3 multisig".
#[test]
fn two_of_three_is_any_two() {
    assert_eq!(every_subset(2, &THREE, |names| names.len() >= 2), 4);
}

// SPEC: "3-of-5 weight with CEO having 2x weight".
#[test]
fn ceo_alone_no_ceo_and_anyone_yes_any_three_others_yes() {
    let approved = |names: &[&str]| match names.contains(&"CEO") {
        true => names.len() >= 2,
        false => names.len() >= 3,
    };
    assert_eq!(every_subset(3, &FIVE, approved), 20);
}

#[test]
fn signers_of_every_algorithm_count() {
    use crate::key::Algorithm as A;
    let material = |algorithm| crate::storage::conformance::signer(algorithm);
    let all = [A::Ed25519, A::Secp256k1, A::P256, A::Rsa2048].map(|a| (a, material(a)));
    let signers = all.iter().map(|(algorithm, (public, _))| AuthorizedSigner {
        public_key: public.clone(),
        ..signer(algorithm.name(), 1)
    });
    let key = MultiSigKey::new(wanted(4, signers.collect()), "p-01", now()).unwrap();
    let mut operation = operation(&key, 1, MESSAGE);
    for (algorithm, (_, sign)) in &all {
        let bytes = sign(&sign_bytes(&key, &operation, MESSAGE));
        let by = SignerRef::Label(label(algorithm.name()));
        operation =
            add_signature((&key, &operation, MESSAGE), (&by, &bytes), "p-01", &at(1)).unwrap();
    }
    assert!(complete((&key, &operation, MESSAGE), "p-01", &at(2)).is_ok());
}

#[test]
fn statement_is_these_bytes() {
    let key = key(2, &THREE);
    let operation = operation(&key, 7, MESSAGE);
    let hex = |bytes: &[u8]| hex::encode(crate::multisig::key::sha256(bytes));
    assert_eq!(
        statement(&key, &operation),
        format!(
            "virtengine multisig approval v1\nkey: {}\nconfiguration-sha256: {}\noperation: {}\n\
             message-sha256: {}\ndescription-sha256: {}\nthreshold: 2\n\
             expires: 2026-11-24T21:45:00.000000Z\nrule: none\nwithout: none\n",
            key.id,
            hex(key.configuration().as_bytes()),
            operation.id,
            hex(MESSAGE),
            hex(b"Treasury withdrawal"),
        )
    );
    let fingerprint = |name: &str| hex::encode(public(name).fingerprint().unwrap());
    let configuration = format!(
        "virtengine multisig key v1\nlabel: treasury\nform: approval\nthreshold: 2\n\
         total-signers: 3\ntimeout-seconds: 86400\nallow-partial: false\nordered: false\n\
         signer: 1 never - - {} CEO\nsigner: 1 never - - {} CTO\n\
         signer: 1 never - - {} Security\n",
        fingerprint("CEO"),
        fingerprint("CTO"),
        fingerprint("Security"),
    );
    assert_eq!(key.configuration(), configuration);
}

// Regression 9: key ids bind full keys, weights and threshold.
#[test]
fn key_id_follows_from_every_term() {
    let base = wanted(2, THREE.map(|(name, weight)| signer(name, weight)).into());
    let id = |wanted: NewMultiSigKey| MultiSigKey::new(wanted, "p-01", now()).unwrap().id;
    let changes: [fn(&mut NewMultiSigKey); 9] = [
        |wanted| wanted.label = label("other"),
        |wanted| wanted.config.threshold = 3,
        |wanted| wanted.config.timeout_s += 1,
        |wanted| wanted.config.allow_partial_sig = true,
        |wanted| wanted.signers[1].weight = Weight::new(2).unwrap(),
        |wanted| wanted.signers[1].public_key = public("another"),
        |wanted| wanted.signers[1].label = label("CFO"),
        |wanted| wanted.signers[1].expires_at = Some(now().plus_seconds(9)),
        |wanted| wanted.signers[1].owner = Some("p-02".to_owned()),
    ];
    let mut ids = vec![id(base.clone())];
    for change in changes {
        let mut wanted = base.clone();
        change(&mut wanted);
        ids.push(id(wanted));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
    let described = NewMultiSigKey { description: "x".parse().unwrap(), ..base.clone() };
    assert_eq!(id(described), id(base), "the same signers under the same name are the same key");
}

// Attack 22: thresholds and weights.
#[test]
fn configurations_that_contradict_themselves_are_refused() {
    let base = || wanted(2, THREE.map(|(name, weight)| signer(name, weight)).into());
    let refused = |change: &dyn Fn(&mut NewMultiSigKey)| {
        let mut wanted = base();
        change(&mut wanted);
        MultiSigKey::new(wanted, "p-01", now()).unwrap_err()
    };
    let sum = 3;
    for threshold in [0, 4, u64::MAX] {
        let expected = InvalidConfig::Threshold { threshold, sum };
        assert_eq!(refused(&|wanted| wanted.config.threshold = threshold), expected);
    }
    assert!(Weight::new(0).is_err() && Weight::new(u32::MAX).is_err());
    assert!(
        serde_json::from_str::<Weight>("0").is_err()
            && serde_json::from_str::<Weight>("-1").is_err()
    );
    let counted = InvalidConfig::TotalSigners { said: 4, given: 3 };
    assert_eq!(refused(&|wanted| wanted.config.total_signers = 4), counted);
    assert_eq!(refused(&|wanted| wanted.config.timeout_s = 0), InvalidConfig::Timeout(0));
    let twice = InvalidConfig::LabelTwice(label("ceo"));
    assert_eq!(refused(&|wanted| wanted.signers[1].label = label("ceo")), twice);
    let twice = InvalidConfig::KeyTwice(label("CEO"), label("CTO"));
    assert_eq!(refused(&|wanted| wanted.signers[1].public_key = public("CEO")), twice);
    let ended = InvalidConfig::SignerExpired(label("CTO"), now());
    assert_eq!(refused(&|wanted| wanted.signers[1].expires_at = Some(now())), ended);
    let place = InvalidConfig::Order(label("CEO"));
    assert_eq!(refused(&|wanted| wanted.config.require_ordered = true), place);
    let owner = InvalidConfig::Owner(label("CTO"));
    assert_eq!(refused(&|wanted| wanted.signers[1].owner = Some("a\nb".into())), owner);
    let reserved = InvalidConfig::Reserved(label("None"));
    assert_eq!(refused(&|wanted| wanted.signers[1].label = label("None")), reserved);
    assert_eq!(refused(&|wanted| wanted.signers.clear()), InvalidConfig::Signers(0));
    let small_order = PublicKey::new(Algorithm::Ed25519, &[0; 32]).unwrap();
    assert!(matches!(
        refused(&move |wanted| wanted.signers[1].public_key = small_order.clone()),
        InvalidConfig::PublicKey(..)
    ));
}

#[test]
fn signers_sign_in_order_where_the_key_says_so() {
    let mut wanted = wanted(2, THREE.map(|(name, weight)| signer(name, weight)).into());
    wanted.config.require_ordered = true;
    for (place, signer) in wanted.signers.iter_mut().enumerate() {
        signer.order = Some(u32::try_from(place).unwrap() + 1);
    }
    let key = MultiSigKey::new(wanted, "p-01", now()).unwrap();
    let first = signed(&key, &operation(&key, 1, MESSAGE), "CTO", &at(1)).unwrap();
    let late = signed(&key, &first, "CEO", &at(1));
    assert_eq!(late, Err(Refusal::OutOfOrder { signer: label("CEO"), order: 1, last: 2 }));
    assert!(signed(&key, &first, "Security", &at(1)).is_ok());
}

#[test]
fn reminders_are_due_at_half_three_quarters_and_nine_tenths_while_signatures_are_missing() {
    let key = key(2, &THREE);
    let operation = signed(&key, &operation(&key, 1, MESSAGE), "CEO", &at(1)).unwrap();
    let day = 24 * 3600;
    let due = |seconds| {
        let tally = tally(&key, &operation, &at(seconds));
        reminder(&operation, &tally, at(seconds).now).map(|due| (due.percent, due.to))
    };
    let rest = || vec![label("CTO"), label("Security")];
    assert_eq!(due(day / 2 - 1), None);
    assert_eq!(due(day / 2), Some((50, rest())));
    assert_eq!(due(day * 3 / 4), Some((75, rest())));
    assert_eq!(due(day * 9 / 10), Some((90, rest())));
    assert_eq!(due(day), None, "it has expired");
    let met = signed(&key, &operation, "CTO", &at(2)).unwrap();
    assert_eq!(reminder(&met, &tally(&key, &met, &at(day - 1)), at(day - 1).now), None);
}
