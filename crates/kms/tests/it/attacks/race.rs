//! Attacks by doing many things at once.

use std::collections::BTreeSet;
use std::fs;
use std::thread;

use kms::audit::EventType;
use kms::key::KeyRef;
use kms::key::KeyState;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::Error;
use kms::manager::KeyManager;

use crate::home::Home;
use crate::home::because;
use crate::home::make;
use crate::home::named;
use crate::home::new_key;
use crate::home::records;

// Attack 28.
#[test]
fn fifty_rotations_suspensions_and_signatures_at_once_make_one_successor() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let old = make(&kms, &caller, "val");
    let by_id: KeyRef = old.id.into();
    let (kms, caller, by_id) = (&kms, &caller, &by_id);
    thread::scope(|scope| {
        for number in 0..50 {
            scope.spawn(move || match number % 5 {
                0 => drop(kms.rotate_key(caller, by_id, &because("at once"))),
                1 => drop(kms.lifecycle(caller).suspend_key(by_id, &because("at once"))),
                _ => drop(kms.sign(caller, by_id, b"m", Scheme::default())),
            });
        }
    });
    let keys = kms.list_keys(caller).unwrap();
    let successors: Vec<_> = keys.iter().filter(|key| key.predecessor == Some(old.id)).collect();
    let rotated = kms.get_key(caller, by_id).unwrap();
    assert_eq!(keys.len(), 1 + successors.len());
    assert!(successors.len() <= 1);
    assert_eq!(rotated.successor, successors.first().map(|key| key.id));
    assert_eq!(rotated.state, KeyState::Suspended);
    let records = records(&home);
    let stopped = records
        .iter()
        .position(|record| record.event == EventType::KeySuspended && record.success)
        .unwrap();
    let signs =
        |record: &&kms::audit::AuditEvent| record.event == EventType::KeySigned && record.success;
    assert_eq!(records[stopped..].iter().filter(signs).count(), 0);
}

// Attack 28: also with rotations alone, and the label names exactly the one successor.
#[test]
fn twenty_rotations_of_one_key_at_once_make_exactly_one_successor() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let old = make(&kms, &caller, "val");
    let by_id: KeyRef = old.id.into();
    let done = at_once(20, |_| kms.rotate_key(&caller, &by_id, &because("at once")));
    let made: Vec<_> = done.into_iter().flatten().collect();
    assert_eq!(made.len(), 1);
    assert_eq!(kms.get_key(&caller, &named("val")).unwrap().id, made[0].id);
    assert_eq!(kms.get_key(&caller, &by_id).unwrap().successor, Some(made[0].id));
    assert_eq!(kms.list_keys(&caller).unwrap().len(), 2);
    let files = fs::read_dir(home.path().join("keystore")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.ends_with(".key")).count(), 2);
    kms.close().unwrap();
    let (kms, caller) = home.enter();
    assert_eq!(kms.get_key(&caller, &named("val")).unwrap().id, made[0].id);
}

#[test]
fn of_many_who_want_one_name_at_once_one_gets_it() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let labels = ["val", "VAL", "Val", "vAl"];
    let made = at_once(16, |number| {
        let label = labels[number % labels.len()].parse().unwrap();
        kms.generate_key(&caller, &label, new_key(kms::key::Algorithm::Ed25519))
    });
    let (made, refused): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    assert!(refused.into_iter().all(|error| error.unwrap_err().code() == "key_exists"));
    assert_eq!(kms.list_keys(&caller).unwrap().len(), 1);
}

// A label moves as a whole: after renames and rotations at once, one label names one lineage, the
// same after a restart.
#[test]
fn renames_and_rotations_at_once_leave_one_lineage_under_one_name() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    let old = make(&kms, &caller, "val");
    let by_id: KeyRef = old.id.into();
    at_once(30, |number| turn(&kms, &caller, (&by_id, number)));
    let lineage = lineage(&kms, &caller);
    assert_eq!(lineage.len(), 1, "labels in use: {lineage:?}");
    kms.close().unwrap();
    let (kms, caller) = home.enter();
    assert_eq!(self::lineage(&kms, &caller), lineage);
}

fn turn(kms: &KeyManager, caller: &Caller, (key, number): (&KeyRef, usize)) -> Result<(), Error> {
    if number % 3 == 0 {
        let current = KeyRef::Label(kms.get_key(caller, key)?.label);
        return kms.rotate_key(caller, &current, &because("at once")).map(drop);
    }
    let label = format!("name-{number}").parse().unwrap();
    kms.rename_key(caller, key, &label).map(drop)
}

/// Every label a key has or names one, with the key it names.
fn lineage(kms: &KeyManager, caller: &Caller) -> BTreeSet<(String, Option<kms::key::KeyId>)> {
    let keys = kms.list_keys(caller).unwrap();
    let used = keys.into_iter().map(|key| key.label.to_string());
    let possible = (0..30).map(|number| format!("name-{number}"));
    let named = |label: String| {
        let key = kms.get_key(caller, &label.parse().unwrap()).ok();
        (label, key.map(|key| key.id))
    };
    let used: BTreeSet<_> = used.map(named).collect();
    let extra = possible.chain(["val".to_owned()]).map(named).filter(|(_, key)| key.is_some());
    used.into_iter().chain(extra).collect()
}

/// Runs `call` on so many threads and gives what they returned.
fn at_once<T: Send>(count: usize, call: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let call = &call;
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || call(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
