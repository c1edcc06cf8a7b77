//! Which acts wait, whose approval counts, and what a permit takes.

use serde_json::json;

use super::*;
use crate::access::Scope;
use crate::access::Selection;
use crate::key::KeyId;
use crate::key::Purpose;
use crate::multisig::Act;
use crate::multisig::ActKind;
use crate::multisig::ApprovalRule;
use crate::multisig::Found;
use crate::multisig::InvalidRule;
use crate::multisig::Permit;
use crate::multisig::Subject;
use crate::multisig::Turn;
use crate::multisig::check_quorum;
use crate::multisig::permit;
use crate::multisig::rules_for;

fn board() -> MultiSigKey {
    let owned = |name: &str, owner: &str| AuthorizedSigner {
        owner: Some(owner.to_owned()),
        ..signer(name, 1)
    };
    let signers = vec![owned("Ann", "p-0a"), owned("Ben", "p-0b"), owned("Cem", "p-0c")];
    MultiSigKey::new(wanted(2, signers), "p-01", now()).unwrap()
}

fn rule(name: &str, acts: &[ActKind], scope: Scope) -> ApprovalRule {
    ApprovalRule {
        name: label(name),
        version: 1,
        acts: acts.to_vec(),
        scope,
        quorum: board().id,
        initiator_counts: false,
        set_at: now(),
        set_by: "p-01".to_owned(),
    }
}

fn some_keys(pattern: &str) -> Scope {
    Scope::Only(Selection::new(vec![], vec![pattern.parse().unwrap()], vec![]).unwrap())
}

fn subject(name: &str) -> Subject {
    let (id, label) = (KeyId::from_random([1; 16]), label(name));
    Subject::Key { id, label, purpose: Purpose::General }
}

fn act() -> Act {
    let (act, subject) = (ActKind::Destroy, subject("treasury"));
    Act { act, subject, order: json!({"do": "destroy_now", "reason": "over"}) }
}

fn asked(rule: &ApprovalRule, initiator: &str) -> Operation {
    let bytes = act().to_bytes();
    let new = New {
        id: OperationId::new(now(), [9; 8]),
        message: &bytes,
        description: "approval".parse().unwrap(),
        initiator,
        asked_by: Some((ActKind::Destroy, rule)),
    };
    initiate(&board(), new, &at(0)).unwrap()
}

fn approve(operation: Operation, names: &[&str]) -> Result<Operation, Refusal> {
    names.iter().try_fold(operation, |operation, name| {
        let (key, message) = (board(), act().to_bytes());
        let bytes = signature(&key, &operation, (name, &message));
        let by = SignerRef::Label(label(name));
        add_signature((&key, &operation, &message), (&by, &bytes), "p-02", &at(1))
    })
}

fn permitted(rules: &[ApprovalRule], operations: Vec<(&str, Operation)>, act: &Act) -> usize {
    let turn = Turn::default();
    let found: Vec<Found> = operations
        .into_iter()
        .map(|(name, operation)| Found {
            rule: label(name),
            quorum: board(),
            operation: Some(operation),
        })
        .collect();
    match permit((act, rules), &found, turn.take(), ("p-01", &at(2))) {
        Ok(permit) => permit.spent().len(),
        Err(_) => 0,
    }
}

#[test]
fn act_has_one_spelling() {
    let bytes = act().to_bytes();
    let expected = "virtengine act v1\n{\"act\":\"destroy\",\"subject\":{\"key\":{\"id\":\
                    \"k-01010101010101010101010101010101\",\"label\":\"treasury\",\"purpose\":\
                    \"general\"}},\"order\":{\"do\":\"destroy_now\",\"reason\":\"over\"}}";
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
    assert_eq!(Act::from_bytes(&bytes), Some(act()));
    let spaced = expected.replace("\",\"order", "\", \"order");
    let spaced = spaced.replace("}},\"order", "}}, \"order");
    assert_eq!(Act::from_bytes(spaced.as_bytes()), None);
    for kind in ActKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
    }
}

#[test]
fn rules_cover_their_acts_of_their_keys() {
    use ActKind as A;
    let rules = [
        rule("a", &[A::Destroy, A::Sign], some_keys("treasury*")),
        rule("b", &[A::Activate], Scope::All),
        rule("c", &[A::Approval], Scope::All),
    ];
    let names = |act, subject: &Subject| -> Vec<String> {
        rules_for(act, subject, &rules).iter().map(|rule| rule.name.to_string()).collect()
    };
    assert_eq!(names(A::Destroy, &subject("Treasury-1")), ["a"]);
    assert_eq!(names(A::Destroy, &subject("val")), [""; 0]);
    assert_eq!(names(A::Reactivate, &subject("treasury")), [""; 0]);
    assert_eq!(names(A::Rotate, &subject("val")), ["b"], "a rotation puts a key into use");
    assert_eq!(names(A::Access, &Subject::Home), [""; 0]);
    // A change of a rule is for the rule itself, whatever it is about, and for those about rules.
    assert_eq!(names(A::Approval, &Subject::Rule(label("A"))), ["a", "c"]);
    assert_eq!(names(A::Approval, &Subject::Rule(label("new"))), ["c"]);
    let renamed = |to: &str| Subject::Renamed {
        id: KeyId::from_random([1; 16]),
        from: label("treasury"),
        to: label(to),
        purpose: Purpose::General,
    };
    assert_eq!(names(A::Rotate, &renamed("out")), ["a"], "a new name leads out of no rule");
    assert_eq!(names(A::Rotate, &renamed("treasury-2")), [""; 0]);
    assert!(Permit::unguarded(A::Destroy, &subject("treasury"), &rules).is_none());
    assert!(Permit::unguarded(A::Destroy, &subject("val"), &rules).is_some());
}

// OpenBao issue 3666: zero approvals approve nothing.
#[test]
fn permit_takes_an_approval_for_every_rule_over_exactly_this_act() {
    let one = rule("one", &[ActKind::Destroy], Scope::All);
    let two = rule("two", &[ActKind::Destroy], Scope::All);
    let met = |rule| approve(asked(rule, "p-01"), &["Ann", "Ben"]).unwrap();
    let rules = [one.clone(), two.clone()];
    assert_eq!(permitted(&rules[..1], vec![], &act()), 0);
    assert_eq!(permitted(&rules[..1], vec![("one", asked(&one, "p-01"))], &act()), 0);
    let half = approve(asked(&one, "p-01"), &["Ann"]).unwrap();
    assert_eq!(permitted(&rules[..1], vec![("one", half)], &act()), 0);
    assert_eq!(permitted(&rules[..1], vec![("one", met(&one))], &act()), 1);
    assert_eq!(permitted(&rules, vec![("one", met(&one))], &act()), 0, "two rules, one approval");
    assert_eq!(permitted(&rules, vec![("one", met(&one)), ("two", met(&one))], &act()), 0);
    assert_eq!(permitted(&rules, vec![("one", met(&one)), ("two", met(&two))], &act()), 2);
    let other = Act { order: json!({"do": "destroy_now", "reason": "other"}), ..act() };
    assert_eq!(permitted(&rules[..1], vec![("one", met(&one))], &other), 0, "another content");
    let newer = [ApprovalRule { version: 2, ..one.clone() }];
    assert_eq!(permitted(&newer, vec![("one", met(&one))], &act()), 0, "another version");
}

// Attack 23, OpenBao PR 1760: whoever asks does not count.
#[test]
fn initiator_approves_nothing_of_their_own_unless_the_rule_says_so() {
    let strict = rule("one", &[ActKind::Destroy], Scope::All);
    let own = approve(asked(&strict, "p-0a"), &["Ann"]);
    assert_eq!(own, Err(Refusal::OwnRequest(label("Ann"))));
    let others = approve(asked(&strict, "p-0a"), &["Ben", "Cem"]).unwrap();
    assert_eq!(permitted(&[strict], vec![("one", others)], &act()), 1);
    let lenient =
        ApprovalRule { initiator_counts: true, ..rule("one", &[ActKind::Destroy], Scope::All) };
    let both = approve(asked(&lenient, "p-0a"), &["Ann", "Ben"]).unwrap();
    assert_eq!(permitted(&[lenient], vec![("one", both)], &act()), 1);
}

#[test]
fn rules_whose_quorum_cannot_be_met_are_refused() {
    use ActKind as A;
    let refused = |rule: &ApprovalRule, quorum: &MultiSigKey, present: &Present<'_>| {
        check_quorum(rule, quorum, present).unwrap_err()
    };
    let good = rule("one", &[A::Destroy], Scope::All);
    assert_eq!(check_quorum(&good, &board(), &at(0)), Ok(()));
    let everyone =
        MultiSigKey { config: MultiSigConfig { threshold: 3, ..board().config }, ..board() };
    // When one of three asks, three cannot come together.
    let unreachable =
        InvalidRule::Unreachable { without: Some(label("Ann")), threshold: 3, reachable: 2 };
    assert_eq!(refused(&good, &everyone, &at(0)), unreachable);
    let lenient = ApprovalRule { initiator_counts: true, ..good.clone() };
    assert_eq!(check_quorum(&lenient, &everyone, &at(0)), Ok(()));
    let is_active = |owner: &str| owner == "p-0a";
    let gone = refused(&good, &board(), &Present { is_active: &is_active, ..at(0) });
    assert_eq!(gone, InvalidRule::Unreachable { without: None, threshold: 2, reachable: 1 });
    assert_eq!(
        refused(&rule("x", &[], Scope::All), &board(), &at(0)),
        InvalidRule::NoActs(label("x"))
    );
    let narrow = rule("x", &[A::Sign, A::Access], some_keys("t*"));
    assert_eq!(refused(&narrow, &board(), &at(0)), InvalidRule::Scope(label("x"), A::Access));
    let unowned = key(2, &[("Ann", 1), ("Ben", 1), ("Cem", 1)]);
    assert_eq!(refused(&good, &unowned, &at(0)), InvalidRule::NoOwner(label("Ann")));
    let mut same = board();
    same.signers[2].owner = Some("p-0a".to_owned());
    let person = InvalidRule::SamePerson(label("Ann"), label("Cem"));
    assert_eq!(refused(&good, &same, &at(0)), person);
    let cosmos = MultiSigKey { form: Form::Cosmos { sorted: true }, ..board() };
    assert_eq!(refused(&good, &cosmos, &at(0)), InvalidRule::Form(label("treasury")));
}
