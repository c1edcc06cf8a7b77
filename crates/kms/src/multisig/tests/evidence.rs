//! Evidence verifies from itself, and from nothing less.

use super::*;
use crate::multisig::Evidence;
use crate::multisig::EvidenceError;
use crate::multisig::Outcome;
use crate::multisig::complete;
use crate::multisig::verify_evidence;

fn made() -> Evidence {
    let key = key(3, &[("CEO", 2), ("CTO", 1), ("CFO", 1)]);
    let mut operation = operation(&key, 1, MESSAGE);
    for name in ["CEO", "CFO"] {
        operation = signed(&key, &operation, name, &at(1)).unwrap();
    }
    let done = complete((&key, &operation, MESSAGE), "p-01", &at(2)).unwrap();
    Evidence::of(&key, &done, MESSAGE)
}

#[test]
fn evidence_shows_who_approved_what() {
    let evidence = made();
    let shown = verify_evidence(&evidence.to_bytes()).unwrap();
    assert_eq!((shown.weight, shown.threshold), (3, 3));
    assert_eq!(shown.signers, [label("CEO"), label("CFO")]);
    assert_eq!(shown.message, MESSAGE);
    assert_eq!(shown.key, evidence.key.id);
    assert_eq!(evidence.to_bytes(), made().to_bytes(), "the same whenever it is made");
}

#[test]
fn evidence_in_which_anything_was_changed_shows_nothing() {
    use EvidenceError as E;
    let refused = |change: &dyn Fn(&mut Evidence)| {
        let mut evidence = made();
        change(&mut evidence);
        verify_evidence(&evidence.to_bytes()).unwrap_err()
    };
    let counted = |evidence: &mut Evidence, labels: &[&str]| {
        let counted = labels.iter().map(|name| label(name)).collect();
        evidence.operation.closed.as_mut().unwrap().outcome = Outcome::Complete { counted };
    };
    assert!(matches!(refused(&|e| e.key.config.threshold = 2), E::KeyId { .. }));
    assert!(matches!(
        refused(&|e| e.key.signers[2].weight = Weight::new(9).unwrap()),
        E::KeyId { .. }
    ));
    assert!(matches!(refused(&|e| e.key.signers[2].public_key = public("x")), E::KeyId { .. }));
    assert!(matches!(refused(&|e| e.message = "AAAA".into()), E::Message(_)));
    assert_eq!(refused(&|e| e.statement.push('\n')), E::Statement);
    assert_eq!(refused(&|e| e.operation.description = "a gift".parse().unwrap()), E::Statement);
    assert_eq!(
        refused(&|e| e.operation.expires_at = e.operation.expires_at.plus_seconds(1)),
        E::Statement
    );
    assert_eq!(refused(&|e| e.operation.closed = None), E::NotComplete);
    assert_eq!(
        refused(&|e| e.operation.closed.as_mut().unwrap().at = e.operation.expires_at),
        E::NotComplete
    );
    let other = E::Signature(label("CFO"));
    assert_eq!(refused(&|e| e.operation.signatures[1].signature.replace_range(..2, "zz")), other);
    assert_eq!(
        refused(
            &|e| e.operation.signatures[1].signature = e.operation.signatures[0].signature.clone()
        ),
        other
    );
    let less = E::Insufficient { have: 2, need: 3 };
    assert_eq!(refused(&|e| counted(e, &["CEO"])), less);
    assert_eq!(refused(&|e| counted(e, &["CEO", "CEO"])), E::Twice(label("CEO")));
    assert_eq!(refused(&|e| counted(e, &["CEO", "CTO"])), E::Signature(label("CTO")));
    let again = |e: &mut Evidence| {
        let first = e.operation.signatures[0].clone();
        e.operation.signatures.push(first);
    };
    assert_eq!(refused(&again), E::Twice(label("CEO")));
    assert!(matches!(refused(&|e| e.format.clear()), E::Format(_)));
}

// Attack 39: what is no evidence at all is refused in little time and memory.
#[test]
fn hostile_files_are_no_evidence() {
    let deep = "[".repeat(200_000);
    let long = vec![b' '; 4 << 20];
    for bytes in [&b""[..], b"{}", b"null", &[0xff; 64], deep.as_bytes(), &long] {
        assert!(verify_evidence(bytes).is_err());
    }
    let text = String::from_utf8(made().to_bytes()).unwrap();
    for cut in (0..text.len()).step_by(97) {
        assert!(verify_evidence(&text.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
    let unknown = text.replacen("{\"format\"", "{\"extra\":1,\"format\"", 1);
    assert!(verify_evidence(unknown.as_bytes()).is_err());
    let twice = text.replacen("{\"format\"", "{\"format\":\"x\",\"format\"", 1);
    assert!(verify_evidence(twice.as_bytes()).is_err());
    // Every byte of the file that is not the name of who did what when is bound.
    let bytes = text.as_bytes();
    for at in (0..bytes.len()).step_by(53) {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1;
        if let Ok(shown) = verify_evidence(&flipped) {
            assert_eq!(shown.message, MESSAGE, "byte {at}");
            assert_eq!(shown.weight, 3, "byte {at}");
        }
    }
}
