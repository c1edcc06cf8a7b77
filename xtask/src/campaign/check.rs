//! Opens a home after a crash and holds it against what was acknowledged before.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use kms::access::Principal;
use kms::audit::AuditEvent;
use kms::audit::Phase;
use kms::audit::VerifyOptions;
use kms::audit::verify_files;
use kms::key::KeyState;
use kms::key::ManagedKey;
use kms::key::Move;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::Error;
use kms::manager::KeyManager;

use crate::campaign::acknowledged::Acknowledged;
use crate::campaign::worker;
use crate::shell::Outcome;

/// What opening a home says whose making was cut off.
const UNFINISHED: [&str; 2] = ["no_home", "home_half_made"];

/// What was acknowledged and is not there, or is damaged; nothing when all is well.
pub(crate) fn check(home: &Path, known: &Acknowledged) -> Outcome<Vec<String>> {
    let mut losses = Vec::new();
    let (kms, caller) = match worker::open(home) {
        Ok(opened) => opened,
        Err(error) if known.unfinished && UNFINISHED.contains(&error.code()) => return Ok(losses),
        Err(error) => return Ok(vec![format!("the home does not open: {error}")]),
    };
    let seen = match Seen::of(&kms, &caller) {
        Ok(seen) => seen,
        Err(error) => return Ok(vec![format!("the home cannot be read: {error}")]),
    };
    seen.check_keys(known, &mut losses);
    for (key, _) in seen.keys.iter().filter(|(key, _)| may_sign(key)) {
        if let Err(error) = kms.sign(&caller, &key.id.into(), b"check", Scheme::default()) {
            losses.push(format!("key {} is {} and does not sign: {error}", key.id, key.state));
        }
    }
    let missing = known.principals.iter().filter(|name| !seen.has_principal(name));
    losses.extend(missing.map(|name| format!("principal {name} is missing")));
    let back = known.gone.iter().filter(|name| seen.has_principal(name));
    losses.extend(back.map(|name| format!("principal {name} is there again")));
    check_operations(&kms, &caller, known, &mut losses);
    if let Err(error) = kms.close() {
        losses.push(format!("the home does not close: {error}"));
    }
    check_log(home, known, &seen, &mut losses)?;
    check_files(home, &seen, &mut losses)?;
    Ok(losses)
}

/// Each operation has come at least as far as was acknowledged.
fn check_operations(
    kms: &KeyManager,
    caller: &Caller,
    known: &Acknowledged,
    losses: &mut Vec<String>,
) {
    let far =
        |state: &str| ["pending", "threshold_met", "complete"].iter().position(|s| *s == state);
    for (id, state) in &known.operations {
        let found = id.parse().map_err(|error| format!("{error}")).and_then(|id| {
            let found = kms.multisig(caller).get_operation(id);
            found.map(|view| view.tally.state.name()).map_err(|error| error.to_string())
        });
        match found {
            Ok(found) if far(found) >= far(state) && far(found).is_some() => {}
            Ok(found) => losses.push(format!("operation {id} was {state}, is {found}")),
            Err(error) => losses.push(format!("operation {id} was {state}: {error}")),
        }
    }
}

/// What a home says it holds.
struct Seen {
    keys: Vec<(ManagedKey, Vec<Move>)>,
    principals: Vec<Principal>,
}

impl Seen {
    fn of(kms: &KeyManager, caller: &Caller) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for key in kms.list_keys(caller)? {
            let history = kms.key_history(caller, &key.id.into())?;
            keys.push((key, history));
        }
        Ok(Self { keys, principals: kms.access(caller).principals()? })
    }

    fn check_keys(&self, known: &Acknowledged, losses: &mut Vec<String>) {
        for (id, states) in &known.keys {
            let Some((key, history)) = self.find(id) else {
                losses.push(format!("key {id} is missing"));
                continue;
            };
            let lived: Vec<&str> = history.iter().map(|step| step.to.name()).collect();
            if !in_order(states, &lived) || lived.last() != Some(&key.state.name()) {
                losses.push(format!("key {id} was {states:?}, is {}, lived {lived:?}", key.state));
            }
        }
    }

    fn has_principal(&self, name: &str) -> bool {
        self.principals.iter().any(|principal| principal.name.as_str() == name)
    }

    fn find(&self, id: &str) -> Option<&(ManagedKey, Vec<Move>)> {
        self.keys.iter().find(|(key, _)| key.id.to_string() == id)
    }
}

/// The log verifies, has every acknowledged signature, no record twice, and one record of each
/// move of each key.
fn check_log(home: &Path, known: &Acknowledged, seen: &Seen, losses: &mut Vec<String>) -> Outcome {
    let log = home.join("audit");
    let verification =
        verify_files(&log, &VerifyOptions::default()).map_err(|error| error.to_string())?;
    losses.extend(verification.errors.iter().map(|violation| format!("the log: {violation:?}")));
    let mut recorded = Recorded::default();
    for event in events_of(&log)? {
        recorded.add(&event, losses);
    }
    let unrecorded = known.signatures.difference(&recorded.signatures);
    losses.extend(unrecorded.map(|digest| format!("signature {digest} has no record")));
    for (key, history) in &seen.keys {
        let moves = recorded.moves.get(&key.id.to_string()).copied().unwrap_or_default();
        // The first step and activation are one record.
        let lived = history.iter().filter(|step| {
            step.to != KeyState::Active || { step.from == Some(KeyState::Suspended) }
        });
        let lived = lived.count();
        if moves != lived {
            losses.push(format!("key {} lived {lived} moves, {moves} are recorded", key.id));
        }
    }
    Ok(())
}

/// What the log has.
#[derive(Default)]
struct Recorded {
    signatures: BTreeSet<String>,
    /// How many moves of each key.
    moves: BTreeMap<String, usize>,
    rids: BTreeSet<String>,
}

impl Recorded {
    fn add(&mut self, event: &AuditEvent, losses: &mut Vec<String>) {
        if !self.rids.insert(event.rid.clone()) {
            losses.push(format!("record {} ({}) stands there twice", event.rid, event.event));
        }
        if !event.success || event.phase == Phase::Intent {
            return;
        }
        self.signatures.extend(event.detail_text("signature_sha256").map(str::to_owned));
        let Some(key) = event.key.map(|key| key.to_string()) else { return };
        // A rotation's record moves the old key and makes the new one.
        let made = event.detail_text("successor").filter(|_| event.event.name() == "key_rotated");
        if let Some(successor) = made {
            *self.moves.entry(successor.to_owned()).or_default() += 1;
        }
        let is_move = event.detail_text("to").is_some()
            || made.is_some()
            || event.event.name() == "key_created";
        if is_move {
            *self.moves.entry(key).or_default() += 1;
        }
    }
}

fn events_of(log: &Path) -> Outcome<Vec<AuditEvent>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(log).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let text = std::fs::read(&path).map_err(|error| error.to_string())?;
            found.extend(text.split(|&byte| byte == b'\n').filter_map(AuditEvent::from_line));
        }
    }
    Ok(found)
}

/// Each key file belongs to a record and to a key that should have one, each key has its file, and
/// nothing half-written lies about.
fn check_files(home: &Path, seen: &Seen, losses: &mut Vec<String>) -> Outcome {
    let keystore = names_in(&home.join("keystore"))?;
    let files: BTreeSet<&str> =
        keystore.iter().filter_map(|name| name.strip_suffix(".key")).collect();
    for (key, _) in &seen.keys {
        let id = key.id.to_string();
        let digits = id.strip_prefix("k-").unwrap_or(&id);
        let is_there = files.contains(digits);
        let gone = matches!(key.state, KeyState::Destroyed | KeyState::Archived);
        if is_there == gone {
            losses.push(format!("key {id} is {}, its file is there: {is_there}", key.state));
        }
    }
    for digits in &files {
        if seen.find(&format!("k-{digits}")).is_none() {
            losses.push(format!("key file {digits}.key has no record"));
        }
    }
    check_slots(home, seen, losses)?;
    for part in [".", "keystore", "keystore/orphans", "audit", "state"] {
        let names = names_in(&home.join(part))?;
        let left = names.iter().filter(|name| name.starts_with(".tmp-") || name.ends_with("-wal"));
        losses.extend(left.map(|name| format!("{part}/{name} was left behind")));
    }
    Ok(())
}

/// Whoever opens the keystore is a principal who should, and each of those has one slot.
fn check_slots(home: &Path, seen: &Seen, losses: &mut Vec<String>) -> Outcome {
    let bytes = std::fs::read(home.join("keystore/slots.json")).map_err(|e| e.to_string())?;
    let file: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    let slots = file
        .pointer("/slots/slots")
        .and_then(serde_json::Value::as_array)
        .ok_or("slots.json has no slots")?;
    let mut owners: Vec<&str> =
        slots.iter().filter_map(|slot| slot.get("principal")?.as_str()).collect();
    let with_slot = seen.principals.iter().filter(|principal| principal.has_slot);
    let mut entitled: Vec<String> = with_slot.map(|principal| principal.id.to_string()).collect();
    owners.sort_unstable();
    entitled.sort_unstable();
    if owners != entitled {
        losses.push(format!("slots belong to {owners:?}, expected {entitled:?}"));
    }
    Ok(())
}

fn names_in(dir: &Path) -> Outcome<Vec<String>> {
    let entries = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn may_sign(key: &ManagedKey) -> bool {
    matches!(key.state, KeyState::Active | KeyState::Rotating)
}

/// Whether all of `states` stand in `lived`, in that order, whatever stands between.
fn in_order(states: &[String], lived: &[&str]) -> bool {
    let mut steps = lived.iter();
    states.iter().all(|state| steps.any(|step| step == state))
}
