//! Signing on a token through the whole way, against a loop over `cryptoki` in a process of its own: the
//! same token, a session for each caller, each signature verified with the same library, the record of the
//! same size appended with the same group commit, and nothing else. Beside it, without a bar, against
//! the bare loop, and the processor time that all our processes spend on a signature beyond that loop.
//!
//! Two rows show what pooling is for: a session for each signature is what the product does when
//! `session_pooling` is off.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use cryptoki::context::CInitializeArgs;
use cryptoki::context::CInitializeFlags;
use cryptoki::context::Pkcs11;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::MechanismType;
use cryptoki::mechanism::eddsa::EddsaParams;
use cryptoki::mechanism::eddsa::EddsaSignatureScheme;
use cryptoki::mechanism::rsa::PkcsMgfType;
use cryptoki::mechanism::rsa::PkcsPssParams;
use cryptoki::object::Attribute;
use cryptoki::object::ObjectClass;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use kms::audit::group::GroupCommit;
use kms::audit::group::Need;
use kms::durable::Disk;
use kms::durable::OsDisk;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::ManagedKey;
use kms::key::PublicKey;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::KeyManager;
use kms::manager::Options;

use super::Row;
use super::median;
use super::sign::BareFile;
use super::sign::length_of_last_line;
use super::sign::per_second;
use crate::home;
use crate::hsm;
use crate::shell::Outcome;

const ROUNDS: usize = 5;
const CALLERS: [usize; 3] = [1, 2, 8];
/// The length of a message, in bytes.
const MESSAGE: usize = 200;

pub(super) fn run(print: &mut dyn FnMut(Row)) -> Outcome {
    let library = hsm::softhsm().ok_or("SoftHSM 2 is missing: apt-get install softhsm2")?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let directory = directory.path();
    let config = hsm::token(directory, &library)?;
    let path = directory.join("home");
    home::init(&path)?;
    let ours = Product::open(&path, config.clone())?;
    for algorithm in Algorithm::ALL {
        let key = ours.key(algorithm)?;
        ours.sign(&key.id.into());
        let line = length_of_last_line(&path)?;
        let theirs = Opponent { config: &config, key: &key, directory, line };
        compare(&ours, &theirs, &key, print)?;
    }
    ours.close()?;
    unpooled(directory, config, print)
}

fn compare(
    ours: &Product,
    theirs: &Opponent<'_>,
    key: &ManagedKey,
    print: &mut dyn FnMut(Row),
) -> Outcome {
    let named = KeyRef::Id(key.id);
    for callers in CALLERS {
        let mut figures = [const { Vec::new() }; 5];
        for _ in 0..ROUNDS {
            let (rate, cpu) = measured(callers, &|| ours.sign(&named));
            figures[0].push(rate);
            figures[1].push(cpu);
            let loops = theirs.run(callers)?;
            figures.iter_mut().skip(2).zip(loops).for_each(|(figure, value)| figure.push(value));
        }
        let [ours, our_cpu, theirs, their_cpu, bare] = figures.map(median);
        let row = |opponent, ours, theirs, unit| Row {
            bench: "hsm-sign",
            algorithm: key.algorithm().to_string(),
            opponent,
            concurrency: callers,
            ours,
            theirs,
            unit,
        };
        print(row("cryptoki, verify, append", ours, theirs, "op/s"));
        print(row("bare cryptoki loop", ours, bare, "op/s"));
        print(row("cryptoki, verify, append", our_cpu, their_cpu, "us cpu"));
    }
    Ok(())
}

/// A session for each signature, against the pool.
fn unpooled(
    directory: &Path,
    config: kms_pkcs11::HsmProviderConfig,
    print: &mut dyn FnMut(Row),
) -> Outcome {
    let path = directory.join("unpooled");
    home::init(&path)?;
    let without = kms_pkcs11::HsmProviderConfig { session_pooling: false, ..config.clone() };
    let fresh = Product::open(&path, without)?;
    let pooled_path = directory.join("pooled");
    home::init(&pooled_path)?;
    let pooled = Product::open(&pooled_path, config)?;
    let keys = [fresh.key(Algorithm::P256)?, pooled.key(Algorithm::P256)?];
    let [of_fresh, of_pooled] = keys.map(|key| KeyRef::Id(key.id));
    let mut figures = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        figures[0].push(per_second(8, &|| fresh.sign(&of_fresh)));
        figures[1].push(per_second(8, &|| pooled.sign(&of_pooled)));
    }
    let [ours, theirs] = figures.map(median);
    print(Row {
        bench: "hsm-sign",
        algorithm: "p256".to_owned(),
        opponent: "a session for each",
        concurrency: 8,
        ours: theirs,
        theirs: ours,
        unit: "op/s",
    });
    fresh.close()?;
    pooled.close()
}

/// How often in a second, and how much processor time of this process and its children each takes.
fn measured(callers: usize, work: &(dyn Fn() + Sync)) -> (f64, f64) {
    let before = processor_time();
    let started = Instant::now();
    let rate = per_second(callers, work);
    let count = rate * started.elapsed().as_secs_f64();
    ((rate), (processor_time() - before).as_secs_f64() * 1e6 / count)
}

/// What this process and the workers that it started have used, user and system. A worker that runs
/// is no child that has ended, so each is read by itself.
fn processor_time() -> Duration {
    let own = std::process::id().to_string();
    let tick = Duration::from_secs(1)
        / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100);
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ticks: u32 = all
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter_map(|stat| {
            let pid = stat.split(' ').next()?.to_owned();
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            let field = |at: usize| fields.get(at).copied();
            let ours = pid == own || field(1)? == own;
            let used = field(11)?.parse::<u32>().ok()? + field(12)?.parse::<u32>().ok()?;
            ours.then_some(used)
        })
        .sum();
    tick * ticks
}

/// The product: a home whose keys are on the token.
struct Product {
    kms: KeyManager,
    caller: Caller,
}

impl Product {
    fn open(path: &Path, config: kms_pkcs11::HsmProviderConfig) -> Outcome<Self> {
        let options = Options { storages: vec![hsm::storage(config)?], ..Options::new(path) };
        let kms = KeyManager::open(options).map_err(|error| error.to_string())?;
        let caller = home::login(&kms).map_err(|error| error.to_string())?;
        Ok(Self { kms, caller })
    }

    fn key(&self, algorithm: Algorithm) -> Outcome<ManagedKey> {
        let storage = "hsm:soft".parse().map_err(|error| format!("{error}"))?;
        let new = kms::manager::NewKey { storage, ..home::new_key(algorithm) };
        let label = format!("bench-{algorithm}").parse().map_err(|error| format!("{error}"))?;
        self.kms.generate_key(&self.caller, &label, new).map_err(|error| error.to_string())
    }

    fn sign(&self, key: &KeyRef) {
        let signed = self.kms.sign(&self.caller, key, &[7; MESSAGE], Scheme::default());
        assert!(signed.is_ok(), "{signed:?}");
    }

    fn close(self) -> Outcome {
        self.kms.close().map_err(|error| error.to_string())
    }
}

/// The opponent, in a process of its own, in which there is nothing of the product.
struct Opponent<'a> {
    config: &'a kms_pkcs11::HsmProviderConfig,
    key: &'a ManagedKey,
    directory: &'a Path,
    line: usize,
}

impl Opponent<'_> {
    /// Signatures a second with verifying and appending, processor time of each, and signatures a
    /// second with nothing but signing.
    fn run(&self, callers: usize) -> Outcome<[f64; 3]> {
        let output = Command::new("/proc/self/exe")
            .arg("hsm-loop")
            .arg(&self.config.library_path)
            .arg(self.directory)
            .arg(hex::encode(self.key.id.as_bytes()))
            .arg(self.key.algorithm().name())
            .arg(hex::encode(self.key.public_key.as_bytes()))
            .args([self.line.to_string(), callers.to_string()])
            .envs(self.config.environment.iter().map(|(name, value)| (name, value)))
            .stderr(std::process::Stdio::inherit())
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let figures: Vec<f64> = text.split_whitespace().filter_map(|f| f.parse().ok()).collect();
        figures.try_into().map_err(|_| format!("the opponent said `{text}`"))
    }
}

/// The opponent's own `main`; what is printed is [`Opponent::run`].
pub(crate) fn loop_main(words: &[&str]) -> Outcome {
    let [library, directory, id, algorithm, public, line, callers] = words else {
        return Err("started by the benchmark alone".to_owned());
    };
    let bytes = |text: &str| hex::decode(text).map_err(|error| error.to_string());
    let algorithm: Algorithm = algorithm.parse().map_err(|error| format!("{error}"))?;
    let public = PublicKey::new(algorithm, &bytes(public)?).map_err(|error| error.to_string())?;
    let number = |text: &str| text.parse::<usize>().map_err(|error| error.to_string());
    let key = (bytes(id)?, public);
    let theirs = Loop::new(Path::new(library), key, (Path::new(directory), number(line)?))?;
    theirs.sign_verify_append(); // sessions, self-tests
    let (rate, cpu) = measured(number(callers)?, &|| theirs.sign_verify_append());
    let bare = per_second(number(callers)?, &|| _ = theirs.sign_only());
    println!("{rate} {cpu} {bare}");
    Ok(())
}

/// A token, a key, a log; no way, no recovery.
struct Loop {
    _login: Mutex<Session>,
    sessions: Mutex<Vec<Session>>,
    key: ObjectHandle,
    public: PublicKey,
    line: Vec<u8>,
    log: GroupCommit<(), BareFile>,
    pkcs11: Pkcs11,
    slot: cryptoki::slot::Slot,
}

impl Loop {
    fn new(
        library: &Path,
        (id, public): (Vec<u8>, PublicKey),
        (directory, line): (&Path, usize),
    ) -> Outcome<Self> {
        let fault = |error: cryptoki::error::Error| error.to_string();
        let pkcs11 = Pkcs11::new(library).map_err(fault)?;
        let flags = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        pkcs11.initialize(flags).map_err(fault)?;
        let slots = pkcs11.get_slots_with_initialized_token().map_err(fault)?;
        let slot = *slots.first().ok_or("no token")?;
        let login = pkcs11.open_rw_session(slot).map_err(fault)?;
        login.login(UserType::User, Some(&AuthPin::from(hsm::PIN))).map_err(fault)?;
        let named = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id)];
        let handle = *login.find_objects(&named).map_err(fault)?.first().ok_or("no key")?;
        let log = directory.join(format!("bare-{}.log", std::process::id()));
        let file = OsDisk.append(&log).map_err(|error| error.to_string())?;
        let mut bytes = vec![b'x'; line];
        if let Some(last) = bytes.last_mut() {
            *last = b'\n';
        }
        Ok(Self {
            _login: Mutex::new(login),
            sessions: Mutex::default(),
            key: handle,
            public,
            line: bytes,
            log: GroupCommit::start((), BareFile(file)).map_err(|error| error.to_string())?,
            pkcs11,
            slot,
        })
    }

    /// A session of its own for as long as a call takes; never a new one where one is free.
    fn sign_only(&self) -> Vec<u8> {
        let free = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match free {
            Some(session) => session,
            None => self.pkcs11.open_rw_session(self.slot).expect("SoftHSM has sessions"),
        };
        let message = [7; MESSAGE];
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &message);
        let signed = match self.public.algorithm() {
            Algorithm::Ed25519 => {
                let pure = EddsaParams::new(EddsaSignatureScheme::Ed25519);
                session.sign(&Mechanism::Eddsa(pure), self.key, &message)
            }
            Algorithm::Secp256k1 | Algorithm::P256 => {
                session.sign(&Mechanism::Ecdsa, self.key, digest.as_ref())
            }
            Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
                let pss = PkcsPssParams {
                    hash_alg: MechanismType::SHA256,
                    mgf: PkcsMgfType::MGF1_SHA256,
                    s_len: 32.into(),
                };
                session.sign(&Mechanism::RsaPkcsPss(pss), self.key, digest.as_ref())
            }
        };
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        signed.expect("SoftHSM signs")
    }

    fn sign_verify_append(&self) {
        let mut signature = self.sign_only();
        if self.public.algorithm() == Algorithm::Secp256k1 {
            let rs = k256::ecdsa::Signature::from_slice(&signature).expect("r and s");
            signature = rs.normalize_s().to_bytes().to_vec(); // what is verified is low-S
        }
        let message = [7; MESSAGE];
        assert!(kms::storage::verify(&self.public, &message, &signature, Scheme::default()));
        let need = Need { bytes: self.line.len(), urgent: false };
        let appended = self.log.submit(need, |(), out| out.extend_from_slice(&self.line));
        let (_, receipt) = appended.expect("the benchmark's disk has room");
        receipt.wait().expect("the benchmark's disk works");
    }
}
