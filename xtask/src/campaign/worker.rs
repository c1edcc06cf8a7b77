//! The process that is cut off: it works on a home and prints each thing it was told is done.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use aws_lc_rs::digest;
use kms::access::Assignment;
use kms::access::PrincipalKind;
use kms::access::Scope;
use kms::audit::AuditLogConfig;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::Purpose;
use kms::key::Reason;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::Client;
use kms::manager::Error;
use kms::manager::Init;
use kms::manager::KeyManager;
use kms::manager::Login;
use kms::manager::Mfa;
use kms::manager::NewKey;
use kms::manager::NewPrincipal;
use kms::manager::Options;
use kms::multisig::AuthorizedSigner;
use kms::multisig::Form;
use kms::multisig::MultiSigConfig;
use kms::multisig::NewMultiSigKey;
use kms::multisig::Weight;
use kms_secret::SecretBytes;

use crate::campaign::acknowledged::Line;
use crate::campaign::disk_full;
use crate::shell::Outcome;

/// Opens every home of the campaigns, or, where it was being changed, the other does.
const PASSPHRASE: &str = "correct horse battery staple";
const CHANGED: &str = "staple battery horse correct";
const ADMIN: &str = "admin";

/// Makes a home.
pub(crate) fn init(home: &Path) -> Outcome {
    make(home).map_err(|error| error.to_string())
}

fn make(home: &Path) -> Result<(), Error> {
    let (passphrase, admin) = (secret(PASSPHRASE), ADMIN.parse().expect("a plain name"));
    let init = Init { admin, passphrase: &passphrase, mfa: Mfa::None };
    KeyManager::init(&options(home), init).map(|_| ())
}

/// With log files so short that the log goes from one to the next all the time.
fn options(home: &Path) -> Options {
    let log = AuditLogConfig {
        max_file_size: 8 * 1024,
        ..AuditLogConfig::new(home.join("audit/audit.log"))
    };
    Options { audit: Some(log), ..Options::new(home) }
}

/// Opens a home and logs in.
pub(crate) fn open(home: &Path) -> Result<(KeyManager, Caller), Error> {
    let kms = KeyManager::open(options(home))?;
    let caller = match login(&kms, PASSPHRASE) {
        Err(Error::Refused(_)) => login(&kms, CHANGED)?,
        other => other?,
    };
    Ok((kms, caller))
}

fn login(kms: &KeyManager, passphrase: &str) -> Result<Caller, Error> {
    let (passphrase, principal) = (secret(passphrase), ADMIN.parse().expect("a plain name"));
    let client = Client::default();
    kms.login(Login { principal: &principal, passphrase: &passphrase, mfa_code: None, client })
}

/// The operations that [`one`] knows; `KEPT` and `DOOMED` are keys that [`prepare`] made.
pub(crate) const OPERATIONS: [&str; 11] = [
    INIT,
    "open",
    "create",
    "sign",
    "rotate",
    "suspend",
    "destroy",
    "principal",
    "remove",
    "passphrase",
    "agree",
];
/// The one operation that makes its home.
pub(crate) const INIT: &str = "init";
const KEPT: &str = "kept";
const DOOMED: &str = "doomed";
const OPERATOR: &str = "operator";
const JOINT: &str = "joint";

/// Makes what the operations of [`one`] need, and tells what is there.
pub(crate) fn prepare(home: &Path) -> Result<Vec<Line>, Error> {
    let (kms, caller) = open(home)?;
    let kept = create(&kms, &caller, KEPT)?;
    _ = create(&kms, &caller, DOOMED)?;
    let doomed = key(DOOMED);
    let doomed = kms.lifecycle(&caller).mark_compromised(&doomed, &reason())?;
    let operator = principal(&kms, &caller, OPERATOR)?;
    make_joint(&kms, &caller, (JOINT, KEPT))?;
    kms.close()?;
    Ok(vec![kept, line_of(&doomed), operator])
}

/// `crash-worker HOME ROUND`: works until it is stopped from outside, or, in every eighth round,
/// closes the home after a while. `crash-worker HOME one OPERATION`: one operation, as a command
/// would do it. `crash-worker HOME full ROUND`: see [`disk_full`].
pub(crate) fn main(words: &[&str]) -> ExitCode {
    let outcome = match words {
        [home, "one", operation] => one(Path::new(home), operation),
        [home, "full", round] => disk_full::work(Path::new(home), round),
        [home, round] => work(Path::new(home), round),
        _ => return ExitCode::FAILURE,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {} ({})", error, error.code());
            ExitCode::FAILURE
        }
    }
}

fn one(home: &Path, operation: &str) -> Result<(), Error> {
    if operation == INIT {
        make(home)?;
        say(&Line::Made);
        return Ok(());
    }
    let (kms, caller) = open(home)?;
    let lifecycle = kms.lifecycle(&caller);
    match operation {
        "create" => say(&create(&kms, &caller, "fresh")?),
        "sign" => {
            let signed = kms.sign(&caller, &key(KEPT), b"message", Scheme::default())?;
            say(&Line::Signed(digest_of(&signed.signature.bytes)));
        }
        "rotate" => say(&line_of(&kms.rotate_key(&caller, &key(KEPT), &reason())?)),
        "suspend" => say(&line_of(&lifecycle.suspend_key(&key(KEPT), &reason())?)),
        "destroy" => say(&line_of(&lifecycle.destroy_now(&key(DOOMED), &reason())?)),
        "principal" => say(&principal(&kms, &caller, "bob")?),
        "remove" => remove(&kms, &caller, OPERATOR)?,
        "agree" => agree(&kms, &caller, (JOINT, KEPT))?,
        "passphrase" => {
            let [old, new] = [PASSPHRASE, CHANGED].map(secret);
            kms.access(&caller).change_passphrase(&old, &new)?;
        }
        _ => {}
    }
    kms.close()
}

fn work(home: &Path, round: &str) -> Result<(), Error> {
    let (kms, caller) = open(home)?;
    let closes = round.parse::<u64>().is_ok_and(|round| round % 8 == 7);
    let signer = format!("signer-{round}");
    say(&create(&kms, &caller, &signer)?);
    make_joint(&kms, &caller, (&format!("joint-{round}"), &signer))?;
    let stop = AtomicBool::new(false);
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for thread in 0..3_u8 {
            let (kms, caller, signer, stop, failed) = (&kms, &caller, key(&signer), &stop, &failed);
            scope.spawn(move || keep(failed, stop, sign(kms, caller, (&signer, thread), stop)));
        }
        keep(&failed, &stop, change(&kms, &caller, round, (closes, &stop)));
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => kms.close(),
    }
}

/// Keeps the first error and stops all.
fn keep(failed: &Mutex<Option<Error>>, stop: &AtomicBool, outcome: Result<(), Error>) {
    stop.store(true, Ordering::Relaxed);
    if let Err(error) = outcome {
        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

fn sign(
    kms: &KeyManager,
    caller: &Caller,
    (signer, thread): (&KeyRef, u8),
    stop: &AtomicBool,
) -> Result<(), Error> {
    let mut turn = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let message = [&[thread][..], &turn.to_le_bytes()].concat();
        let signed = kms.sign(caller, signer, &message, Scheme::default())?;
        say(&Line::Signed(digest_of(&signed.signature.bytes)));
        turn += 1;
    }
    Ok(())
}

/// One key after another through its life, and principals beside them.
fn change(
    kms: &KeyManager,
    caller: &Caller,
    round: &str,
    (closes, stop): (bool, &AtomicBool),
) -> Result<(), Error> {
    let (reason, lifecycle) = (reason(), kms.lifecycle(caller));
    let turns = if closes { 5 } else { u32::MAX };
    if round.parse::<u64>().is_ok_and(|round| round % 4 == 2) {
        let name = format!("p{round}");
        say(&principal(kms, caller, &name)?); // and its slot of the keystore
        remove(kms, caller, &name)?; // the keystore key changes, every key file is written again
        say(&principal(kms, caller, &format!("q{round}"))?);
    }
    for turn in 0..turns {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        agree(kms, caller, (&format!("joint-{round}"), &format!("signer-{round}")))?;
        let name = format!("k{round}-{turn}");
        say(&create(kms, caller, &name)?);
        let key = key(&name);
        let successor = kms.rotate_key(caller, &key, &reason)?;
        say(&line_of(&successor));
        let successor = KeyRef::from(successor.id);
        say(&line_of(&lifecycle.complete_rotation(&key, &reason)?));
        say(&line_of(&lifecycle.suspend_key(&successor, &reason)?));
        say(&line_of(&lifecycle.reactivate_key(&successor, &reason)?));
        say(&line_of(&lifecycle.mark_compromised(&successor, &reason)?));
        say(&line_of(&lifecycle.destroy_now(&successor, &reason)?));
    }
    Ok(())
}

/// Tells the campaign, in one write, that something is done; a worker that is not heard stops.
pub(crate) fn say(line: &Line) {
    let mut out = std::io::stdout().lock();
    let said = out.write_all(format!("{}\n", written(line)).as_bytes()).and_then(|()| out.flush());
    if let Err(error) = said {
        eprintln!("worker: output: {error}");
        std::process::exit(1);
    }
}

pub(crate) fn key(label: &str) -> KeyRef {
    label.parse().expect("a plain label")
}

pub(crate) fn reason() -> Reason {
    "campaign".parse().expect("a plain text")
}

pub(crate) fn create(kms: &KeyManager, caller: &Caller, name: &str) -> Result<Line, Error> {
    let new = NewKey {
        purpose: Purpose::General,
        algorithm: Some(Algorithm::Ed25519),
        storage: "file".parse().expect("a storage"),
        policy: None,
        activate: true,
    };
    let key = kms.generate_key(caller, &name.parse().expect("a label"), new)?;
    Ok(line_of(&key))
}

fn principal(kms: &KeyManager, caller: &Caller, name: &str) -> Result<Line, Error> {
    let new = NewPrincipal {
        name: name.parse().expect("a name"),
        kind: PrincipalKind::User,
        assignments: vec![Assignment {
            role: "auditor".parse().expect("a role"),
            scope: Scope::All,
        }],
        slot: Some(true),
    };
    kms.access(caller).create_principal(new, &secret(PASSPHRASE))?;
    Ok(Line::Principal(name.to_owned()))
}

fn remove(kms: &KeyManager, caller: &Caller, name: &str) -> Result<(), Error> {
    say(&Line::Leaving(name.to_owned()));
    kms.access(caller).remove(name)?;
    say(&Line::Gone(name.to_owned()));
    Ok(())
}

/// Makes a multi-signature key of one signer, whose key is in the home.
fn make_joint(
    kms: &KeyManager,
    caller: &Caller,
    (name, signer): (&str, &str),
) -> Result<(), Error> {
    let signer = AuthorizedSigner {
        label: signer.parse().expect("a label"),
        public_key: kms.export_public_key(caller, &key(signer))?,
        weight: Weight::ONE,
        expires_at: None,
        order: None,
        owner: None,
    };
    let config = MultiSigConfig {
        threshold: 1,
        total_signers: 1,
        timeout_s: 366 * 86_400,
        allow_partial_sig: false,
        require_ordered: false,
    };
    kms.multisig(caller).create_multisig_key(NewMultiSigKey {
        label: name.parse().expect("a label"),
        description: reason(),
        form: Form::Approval,
        config,
        signers: vec![signer],
    })?;
    Ok(())
}

/// One operation from its beginning to its end, each step told.
fn agree(kms: &KeyManager, caller: &Caller, (joint, signer): (&str, &str)) -> Result<(), Error> {
    let multisig = kms.multisig(caller);
    let begun = multisig.initiate_operation(joint, b"message", reason())?.id;
    say(&Line::Operation(begun.to_string(), "pending".to_owned()));
    let signed = multisig.sign(begun, &key(signer))?;
    say(&Line::Operation(begun.to_string(), signed.tally.state.name().to_owned()));
    multisig.complete_operation(begun)?;
    say(&Line::Operation(begun.to_string(), "complete".to_owned()));
    Ok(())
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::copy_from(text.as_bytes())
}

pub(crate) fn line_of(key: &kms::key::ManagedKey) -> Line {
    Line::Key(key.id.to_string(), key.state.to_string())
}

fn written(line: &Line) -> String {
    match line {
        Line::Key(id, state) => format!("key {id} {state}"),
        Line::Signed(digest) => format!("signed {digest}"),
        Line::Made => "made".to_owned(),
        Line::Principal(name) => format!("principal {name}"),
        Line::Leaving(name) => format!("leaving {name}"),
        Line::Gone(name) => format!("gone {name}"),
        Line::Operation(id, state) => format!("operation {id} {state}"),
    }
}

pub(crate) fn digest_of(signature: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, signature))
}
