//! Sessions lost at random under sixteen threads: every signature that came back verifies and is on
//! record.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use kms::audit::EventType;
use kms::audit::Query;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::Scheme;
use kms::manager::KeyManager;
use kms::manager::NewKey;
use kms::manager::Options;

use super::Plan;
use super::Size;
use super::Tally;
use super::hsm_faults::behind;
use super::hsm_faults::fault_module;
use super::skipped;
use crate::home;
use crate::hsm;
use crate::shell::Outcome;

const THREADS: usize = 16;
const SIGNATURES: usize = 24_000;
const CI_SIGNATURES: usize = 2_400;
/// One of so many calls loses something.
const RARE: u64 = 150;
/// What is lost, the first of them most often.
const LOSSES: [&str; 6] =
    ["error 0xb3", "error 0xb0", "error 0xb3", "error 0x32", "error 0x90", "crash"];

pub(super) fn run(plan: Plan) -> Outcome<Option<Tally>> {
    let Some(library) = hsm::softhsm() else {
        return skipped("SoftHSM 2 is missing: apt-get install softhsm2");
    };
    let wanted = if plan.size == Size::Ci { CI_SIGNATURES } else { SIGNATURES };
    let module = fault_module()?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let script = directory.path().join("script");
    let faults = random_script(wanted)?;
    std::fs::write(&script, "").map_err(|error| error.to_string())?;
    let config = behind(hsm::token(directory.path(), &library)?, (&module, &script));
    let path = directory.path().join("home");
    home::init(&path)?;
    let options = Options { storages: vec![hsm::storage(config)?], ..Options::new(&path) };
    let kms = KeyManager::open(options).map_err(|error| error.to_string())?;
    let caller = home::login(&kms).map_err(|error| error.to_string())?;
    let storage = "hsm:soft".parse().map_err(|error| format!("{error}"))?;
    let new = NewKey { storage, ..home::new_key(Algorithm::P256) };
    let label = "campaign".parse().map_err(|error| format!("{error}"))?;
    let key = kms.generate_key(&caller, &label, new).map_err(|error| error.to_string())?;
    std::fs::write(&script, &faults).map_err(|error| error.to_string())?;

    let left = AtomicUsize::new(wanted);
    let signed = Mutex::new(Vec::new());
    let losses = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (left, signed, losses, kms, caller, key) =
                (&left, &signed, &losses, &kms, &caller, &key);
            scope.spawn(move || {
                let mut round = 0;
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_ok()
                {
                    // What was refused, because the token was away, is asked for again.
                    loop {
                        round += 1;
                        let message = format!("{thread} {round}");
                        let named = KeyRef::Id(key.id);
                        let answer =
                            kms.sign(caller, &named, message.as_bytes(), Scheme::default());
                        let Ok(answer) = answer else { continue };
                        let (bytes, public) = (&answer.signature.bytes, &key.public_key);
                        if !kms::storage::verify(
                            public,
                            message.as_bytes(),
                            bytes,
                            Scheme::default(),
                        ) {
                            let wrong = format!("a wrong signature left: {message}");
                            losses.lock().unwrap_or_else(PoisonError::into_inner).push(wrong);
                        }
                        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
                        let digest = hex::encode(digest);
                        signed.lock().unwrap_or_else(PoisonError::into_inner).push(digest);
                        break;
                    }
                }
            });
        }
    });
    let signed = signed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut losses = losses.into_inner().unwrap_or_else(PoisonError::into_inner);
    let query = Query { event: Some(EventType::KeySigned), ..Query::default() };
    let events = kms.audit(&caller).find(&query).map_err(|error| error.to_string())?;
    let recorded: HashSet<&str> =
        events.iter().filter_map(|event| event.detail_text("signature_sha256")).collect();
    let unrecorded = signed.iter().filter(|digest| !recorded.contains(digest.as_str()));
    losses.extend(unrecorded.map(|digest| format!("signature {digest} is on no record")));
    kms.close().map_err(|error| error.to_string())?;
    let mut tally = Tally { points: faults.lines().count().saturating_sub(1), ..Tally::default() };
    tally.add(&format!("{wanted} signatures"), signed.len(), losses);
    Ok(Some(tally))
}

/// Losses at calls drawn at random.
fn random_script(signatures: usize) -> Outcome<String> {
    let mut script = String::new();
    let random = || -> Outcome<u64> {
        let mut bytes = [0; 8];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "no random bytes".to_owned())?;
        Ok(u64::from_le_bytes(bytes))
    };
    for (function, calls) in [("C_SignInit", signatures), ("C_Sign", 2 * signatures)] {
        for call in 1..=calls {
            if random()?.is_multiple_of(RARE) {
                let which = usize::try_from(random()? % 6).unwrap_or(0);
                let loss = LOSSES.get(which).copied().unwrap_or("error 0xb3");
                script += &format!("{function} {call} {loss}\n");
            }
        }
    }
    Ok(script)
}
