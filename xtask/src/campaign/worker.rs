//! The process that is cut off: it works on a home and prints each thing it was told is done.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

use aws_lc_rs::digest;
use kms::access::Assignment;
use kms::access::PrincipalKind;
use kms::access::Scope;
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
use kms_secret::SecretBytes;

use super::acknowledged::Line;
use crate::shell::Outcome;

/// Opens every home of the campaigns.
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";
const ADMIN: &str = "admin";

/// Makes a home.
pub(crate) fn init(home: &Path) -> Outcome {
    let passphrase = SecretBytes::copy_from(PASSPHRASE.as_bytes());
    let admin = ADMIN.parse().map_err(|error| format!("{error}"))?;
    let init = Init { admin, passphrase: &passphrase, mfa: Mfa::None };
    KeyManager::init(&Options::new(home), init).map(|_| ()).map_err(|error| error.to_string())
}

/// Opens a home and logs in.
pub(crate) fn open(home: &Path) -> Result<(KeyManager, Caller), Error> {
    let kms = KeyManager::open(Options::new(home))?;
    let passphrase = SecretBytes::copy_from(PASSPHRASE.as_bytes());
    let principal = ADMIN.parse().expect("a plain name");
    let client = Client::default();
    let login =
        Login { principal: &principal, passphrase: &passphrase, mfa_code: None, client };
    let caller = kms.login(login)?;
    Ok((kms, caller))
}

/// Makes the key `base`.
pub(crate) fn make_key(home: &Path) -> Outcome<Line> {
    let (kms, caller) = open(home).map_err(|error| error.to_string())?;
    let line = create(&kms, &caller, "base").map_err(|error| error.to_string())?;
    kms.close().map_err(|error| error.to_string())?;
    Ok(line)
}

/// The digest under which a signature stands in the log, from its hex form.
pub(crate) fn digest_of_hex(signature: &str) -> String {
    digest_of(&hex::decode(signature.trim()).unwrap_or_default())
}

/// `crash-worker HOME ROUND`: works until it is stopped from outside.
pub(crate) fn main(words: &[&str]) -> ExitCode {
    let [home, round] = words else { return ExitCode::FAILURE };
    match work(Path::new(home), round) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work(home: &Path, round: &str) -> Result<(), Error> {
    let (kms, caller) = open(home)?;
    let said = Mutex::new(std::io::stdout());
    let say = |line: Line| {
        let mut out = said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        _ = writeln!(out, "{}", written(&line)).and_then(|()| out.flush());
    };
    let signer = create(&kms, &caller, &format!("signer-{round}"))?;
    let signer: KeyRef = match &signer {
        Line::Key(id, _) => id.parse().expect("an id"),
        Line::Signed(_) | Line::Principal(_) => return Ok(()),
    };
    std::thread::scope(|scope| {
        for thread in 0..3_u8 {
            let (kms, caller, say, signer) = (&kms, &caller, &say, &signer);
            scope.spawn(move || {
                for turn in 0_u64.. {
                    let message = [&[thread][..], &turn.to_le_bytes()].concat();
                    match kms.sign(caller, signer, &message, Scheme::default()) {
                        Ok(signed) => say(Line::Signed(digest_of(&signed.signature.bytes))),
                        Err(_) => return, // the disk is gone
                    }
                }
            });
        }
        _ = change(&kms, &caller, round, &say);
    });
    Ok(())
}

/// One key after another through its life, and principals beside them.
fn change(kms: &KeyManager, caller: &Caller, round: &str, say: &dyn Fn(Line)) -> Result<(), Error> {
    let reason: Reason = "campaign".parse().expect("a reason");
    for turn in 0_u32.. {
        let name = format!("k{round}-{turn}");
        say(create(kms, caller, &name)?);
        let key: KeyRef = name.parse().expect("a label");
        let successor = kms.rotate_key(caller, &key, &reason)?;
        say(line_of(&successor));
        let lifecycle = kms.lifecycle(caller);
        say(line_of(&lifecycle.complete_rotation(&key, &reason)?));
        say(line_of(&lifecycle.suspend_key(&successor.id.into(), &reason)?));
        say(line_of(&lifecycle.reactivate_key(&successor.id.into(), &reason)?));
        say(line_of(&lifecycle.mark_compromised(&successor.id.into(), &reason)?));
        say(line_of(&lifecycle.destroy_now(&successor.id.into(), &reason)?));
        if turn % 4 == 0 {
            say(principal(kms, caller, &format!("p{round}-{turn}"))?);
        }
    }
    Ok(())
}

fn create(kms: &KeyManager, caller: &Caller, name: &str) -> Result<Line, Error> {
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
        assignments: vec![Assignment { role: "auditor".parse().expect("a role"), scope: Scope::All }],
        slot: Some(false),
    };
    let passphrase = SecretBytes::copy_from(PASSPHRASE.as_bytes());
    kms.access(caller).create_principal(new, &passphrase)?;
    Ok(Line::Principal(name.to_owned()))
}

fn line_of(key: &kms::key::ManagedKey) -> Line {
    Line::Key(key.id.to_string(), key.state.to_string())
}

fn written(line: &Line) -> String {
    match line {
        Line::Key(id, state) => format!("key {id} {state}"),
        Line::Signed(digest) => format!("signed {digest}"),
        Line::Principal(name) => format!("principal {name}"),
    }
}

fn digest_of(signature: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, signature))
}
