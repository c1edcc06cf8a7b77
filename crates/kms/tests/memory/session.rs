//! The child: everything a person does in a first session with a home, and what comes after it.

use std::fs;
use std::io::stdin;
use std::io::stdout;
use std::path::Path;
use std::sync::Arc;

use kms::access::Assignment;
use kms::access::PrincipalKind;
use kms::access::Scope;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::Purpose;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::Client;
use kms::manager::Init;
use kms::manager::KeyManager;
use kms::manager::Login;
use kms::manager::Mfa;
use kms::manager::NewKey;
use kms::manager::NewPrincipal;
use kms::manager::Options;
use kms::time::Clock;
use kms::time::ManualClock;
use kms::time::SystemClock;
use kms_formats::private::PrivateFormat;
use kms_formats::private::PrivateKey;
use kms_secret::MemoryKind;
use kms_secret::SecretBytes;
use kms_secret::locked_memory;
use kms_secret::protect_process;
use kms_secret::read_secret_line;
use kms_secret::write_secret;
use rustix::process::DumpableBehavior;
use rustix::process::set_dumpable_behavior;

pub(crate) fn run() {
    let report = protect_process();
    eprintln!("{:?}", report.shortfalls());
    // So that whoever tests without being root can read what a debugger could.
    set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
    let home = heard();
    let home = Path::new(std::str::from_utf8(home.expose()).unwrap()).to_owned();
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let passphrase = first_session(&home, &clock);
    scanned("closed", true);
    let held = locked_memory().in_use_bytes; // the cryptography library's tables, and one passphrase
    let kms = KeyManager::open(options(&home, &clock)).unwrap();
    let caller = login(&kms, &clock, &passphrase);
    sign_all(&kms, &caller);
    drop(caller);
    kms.close().unwrap();
    assert_eq!(locked_memory().in_use_bytes, held, "bytes of secrets are held beyond the close");
    drop(passphrase);
    scanned("closed again", true);
    tell("end");
}

/// Returns the passphrase that logs in after it.
fn first_session(home: &Path, clock: &Arc<ManualClock>) -> SecretBytes {
    let [first, second, operators] = [(); 3].map(|()| heard());
    let keys = Algorithm::ALL.map(|algorithm| (algorithm, heard()));
    let admin = "alice".parse().unwrap();
    let init = Init { admin, passphrase: &first, mfa: Mfa::Totp };
    let made = KeyManager::init(&options(home, clock), init).unwrap();
    let mut printed = format!("{made:?}");
    tell_secret("uri", &made.mfa.as_ref().unwrap().uri);
    for code in &made.mfa.as_ref().unwrap().recovery_codes {
        tell_secret("secret recovery", code);
    }
    drop(made);
    scanned("made", false);

    let kms = KeyManager::open(options(home, clock)).unwrap();
    let caller = login(&kms, clock, &first);
    scanned("logged in", false);
    import_all(&kms, &caller, keys);
    generate_all(&kms, &caller);
    scanned("keys made", false);
    sign_all(&kms, &caller);
    scanned("keys used", false);

    kms.access(&caller).change_passphrase(&first, &second).unwrap();
    let caller = login(&kms, clock, &second);
    scanned("passphrase changed", false);
    let code = SecretBytes::copy_from(code(clock).as_bytes());
    let enrolled = kms.access(&caller).enroll_mfa(&second, Some(&code)).unwrap();
    tell_secret("uri", &enrolled.uri);
    drop(enrolled);
    let caller = login(&kms, clock, &second);
    let new = NewPrincipal {
        name: "bob".parse().unwrap(),
        kind: PrincipalKind::User,
        assignments: vec![Assignment { role: "operator".parse().unwrap(), scope: Scope::All }],
        slot: Some(true),
    };
    kms.access(&caller).create_principal(new, &operators).unwrap();
    let wrong = kms.login(shown("alice", &operators, None)).unwrap_err();
    printed += &format!("{kms:?} {caller:?} {wrong:?} {wrong} {:?}", kms.status());
    fs::write(home.with_extension("printed"), printed).unwrap();
    sign_all(&kms, &caller);
    scanned("people changed", false);

    drop((first, operators));
    kms.lock(&caller).unwrap();
    scanned("locked", false);
    drop(caller);
    kms.close().unwrap();
    second
}

fn options(home: &Path, clock: &Arc<ManualClock>) -> Options {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    Options { clock, stays: true, ..Options::new(home) }
}

fn import_all(kms: &KeyManager, caller: &Caller, keys: [(Algorithm, SecretBytes); 5]) {
    for (algorithm, digits) in keys {
        let format = if algorithm.is_rsa() { PrivateFormat::Pkcs8 } else { PrivateFormat::Raw };
        let bytes = SecretBytes::from_hex(digits.expose()).unwrap();
        let parsed = PrivateKey::parse(bytes.expose(), format, Some(algorithm)).unwrap();
        let label = format!("imported-{algorithm}").parse().unwrap();
        kms.import_key(caller, &label, new_key(algorithm), &parsed).unwrap();
    }
}

fn generate_all(kms: &KeyManager, caller: &Caller) {
    // One modulus is as good as the other, and 4096 bits take seconds.
    for algorithm in Algorithm::ALL.into_iter().filter(|one| *one != Algorithm::Rsa4096) {
        let label = format!("made-{algorithm}").parse().unwrap();
        kms.generate_key(caller, &label, new_key(algorithm)).unwrap();
    }
}

fn sign_all(kms: &KeyManager, caller: &Caller) {
    for key in kms.list_keys(caller).unwrap() {
        let name = KeyRef::from(key.id);
        let signed = kms.sign(caller, &name, b"message", Scheme::default()).unwrap();
        let bytes = &signed.signature.bytes;
        assert!(kms.verify(caller, &name, b"message", bytes, Scheme::default()).unwrap());
    }
}

fn new_key(algorithm: Algorithm) -> NewKey {
    NewKey {
        purpose: Purpose::General,
        algorithm: Some(algorithm),
        storage: "file".parse().unwrap(),
        policy: None,
        activate: true,
    }
}

fn login(kms: &KeyManager, clock: &ManualClock, passphrase: &SecretBytes) -> Caller {
    let code = code(clock);
    let caller = kms.login(shown("alice", passphrase, Some(&code))).unwrap();
    tell_secret("secret session", caller.token());
    caller
}

fn shown<'a>(
    name: &'static str,
    passphrase: &'a SecretBytes,
    mfa_code: Option<&'a str>,
) -> Login<'a> {
    let client = Client { source_ip: None, user_agent: "tests".to_owned() };
    let principal = Box::leak(Box::new(name.parse().unwrap()));
    Login { principal, passphrase, mfa_code, client }
}

/// A code of a step that was not used yet.
fn code(clock: &ManualClock) -> String {
    clock.advance_seconds(30);
    tell(&format!("code {}", clock.now().micros() / 1_000_000));
    String::from_utf8(heard().expose().to_vec()).unwrap()
}

/// Lets the other process look.
fn scanned(step: &str, nothing_is_held: bool) {
    let unreadable = locked_memory().kind == MemoryKind::Secret;
    let how = if unreadable || nothing_is_held { "all" } else { "locked" };
    tell(&format!("scan {how} {step}"));
    _ = heard();
}

fn heard() -> SecretBytes {
    read_secret_line(stdin(), 64 * 1024).unwrap()
}

fn tell(line: &str) {
    write_secret(stdout(), &SecretBytes::copy_from(format!("{line}\n").as_bytes())).unwrap();
}

fn tell_secret(what: &str, secret: &SecretBytes) {
    write_secret(stdout(), &SecretBytes::copy_from(format!("{what} ").as_bytes())).unwrap();
    write_secret(stdout(), secret).unwrap();
    write_secret(stdout(), &SecretBytes::copy_from(b"\n")).unwrap();
}
