//! Opens a home after a crash and holds it against what was acknowledged before.

use std::collections::BTreeSet;
use std::path::Path;

use kms::audit::VerifyOptions;
use kms::audit::verify_files;
use kms::key::KeyState;
use kms::key::ManagedKey;
use kms::key::Scheme;

use super::acknowledged::Acknowledged;
use super::worker;
use crate::shell::Outcome;

/// What was acknowledged and is not there, or is damaged; nothing when all is well.
pub(crate) fn check(home: &Path, known: &Acknowledged) -> Outcome<Vec<String>> {
    let mut losses = Vec::new();
    let (kms, caller) = match worker::open(home) {
        Ok(opened) => opened,
        Err(error) => return Ok(vec![format!("the home does not open: {error}")]),
    };
    let keys = kms.list_keys(&caller).map_err(|error| error.to_string())?;
    for (id, states) in &known.keys {
        let Some(key) = keys.iter().find(|key| key.id.to_string() == *id) else {
            losses.push(format!("key {id} is missing"));
            continue;
        };
        let history = kms.key_history(&caller, &key.id.into()).map_err(|error| error.to_string())?;
        let lived: Vec<&str> = history.iter().map(|step| step.to.name()).collect();
        if !in_order(states, &lived) || lived.last() != Some(&key.state.name()) {
            losses.push(format!("key {id} was {states:?}, is {}, lived {lived:?}", key.state));
        }
    }
    for key in keys.iter().filter(|key| may_sign(key)) {
        if let Err(error) = kms.sign(&caller, &key.id.into(), b"check", Scheme::default()) {
            losses.push(format!("key {} is {} and does not sign: {error}", key.id, key.state));
        }
    }
    let principals = kms.access(&caller).principals().map_err(|error| error.to_string())?;
    let names: BTreeSet<&str> = principals.iter().map(|one| one.name.as_str()).collect();
    let missing = known.principals.iter().filter(|name| !names.contains(name.as_str()));
    losses.extend(missing.map(|name| format!("principal {name} is missing")));
    kms.close().map_err(|error| error.to_string())?;
    losses.extend(check_log(home, known)?);
    losses.extend(check_files(home, &keys)?);
    Ok(losses)
}

fn check_log(home: &Path, known: &Acknowledged) -> Outcome<Vec<String>> {
    let log = home.join("audit");
    let verification =
        verify_files(&log, &VerifyOptions::default()).map_err(|error| error.to_string())?;
    let mut losses: Vec<String> =
        verification.errors.iter().map(|violation| format!("the log: {violation:?}")).collect();
    let recorded = signatures_of(&log)?;
    let unrecorded = known.signatures.difference(&recorded);
    losses.extend(unrecorded.map(|digest| format!("signature {digest} has no record")));
    Ok(losses)
}

/// The digests of all signatures in the log.
fn signatures_of(log: &Path) -> Outcome<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(log).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let digests = text.split("\"signature_sha256\":\"").skip(1);
        found.extend(digests.filter_map(|rest| rest.get(..64)).map(str::to_owned));
    }
    Ok(found)
}

/// Each key file belongs to a record: orphans were set aside when the home was opened.
fn check_files(home: &Path, keys: &[ManagedKey]) -> Outcome<Vec<String>> {
    let mut losses = Vec::new();
    for entry in std::fs::read_dir(home.join("keystore")).map_err(|error| error.to_string())? {
        let name = entry.map_err(|error| error.to_string())?.file_name();
        let name = name.to_string_lossy().into_owned();
        let Some(digits) = name.strip_suffix(".key") else { continue };
        let owner = keys.iter().find(|key| key.id.to_string() == format!("k-{digits}"));
        match owner.map(|key| key.state) {
            None => losses.push(format!("key file {name} has no record")),
            Some(KeyState::Destroyed) => losses.push(format!("key file {name} should be gone")),
            Some(_) => {}
        }
    }
    Ok(losses)
}

fn may_sign(key: &ManagedKey) -> bool {
    matches!(key.state, KeyState::Active | KeyState::Rotating)
}

/// Whether all of `states` stand in `lived`, in that order, whatever stands between.
fn in_order(states: &[String], lived: &[&str]) -> bool {
    let mut steps = lived.iter();
    states.iter().all(|state| steps.any(|step| step == state))
}
