//! A home with a consensus key, and a signer on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use kms::consensus::Position;
use kms::key::KeyId;
use kms::key::Purpose;
use kms::manager::Caller;
use kms::manager::Client;
use kms::manager::FloorStart;
use kms::manager::Init;
use kms::manager::KeyManager;
use kms::manager::Login;
use kms::manager::Mfa;
use kms::manager::NewKey;
use kms::manager::Node;
use kms::manager::Options;
use kms_formats::comet::ChainId;
use kms_formats::comet::privval::Dialect;
use kms_secret::SecretBytes;
use kms_validator::Connection;
use kms_validator::Event;
use kms_validator::Identity;
use kms_validator::Signer;
use kms_validator::Status;

/// Longer than anything takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const PASSPHRASE: &[u8] = b"correct horse battery staple";

/// The chain of every test.
pub(crate) fn chain() -> ChainId {
    "test-1".parse().unwrap()
}

/// A home that goes with the test; nothing up to height 9 is signed.
pub(crate) struct Home {
    directory: tempfile::TempDir,
    pub(crate) kms: Arc<KeyManager>,
    pub(crate) alice: Caller,
    pub(crate) key: KeyId,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = SecretBytes::copy_from(PASSPHRASE);
        let alice = "alice".parse().unwrap();
        let options = || Options::new(directory.path().join("home"));
        let init = Init { admin: alice, passphrase: &passphrase, mfa: Mfa::None };
        KeyManager::init(&options(), init).unwrap();
        let kms = KeyManager::open(options()).unwrap();
        let alice = login(&kms);
        let new = NewKey {
            purpose: Purpose::Consensus,
            algorithm: None,
            storage: "file".parse().unwrap(),
            policy: None,
            activate: true,
        };
        let key = kms.generate_key(&alice, &"val".parse().unwrap(), new).unwrap().id;
        let start = FloorStart { position: Position::end_of(9), last: None };
        let reason = "first start".parse().unwrap();
        let begun = (start, &reason);
        kms.consensus(&alice).begin_state(&key.into(), &chain(), begun).unwrap();
        Self { directory, kms: Arc::new(kms), alice, key, events: Arc::default() }
    }

    /// Logs in once more, which also unseals.
    pub(crate) fn login(&self) -> Caller {
        login(&self.kms)
    }

    /// A place in the test's own directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts a signer that dials one node.
    pub(crate) fn signer(&self, address: &str) -> Signer {
        let node = Node { name: "node-1".to_owned(), key: self.key, chain: chain() };
        let seed = SecretBytes::copy_from(&[5; 32]);
        let connection = Connection {
            node,
            address: address.parse().unwrap(),
            dialect: Dialect::V0_38,
            identity: Identity::from_seed(&seed).unwrap(),
            peer_uid: None,
        };
        let events = Arc::clone(&self.events);
        let listener: kms_validator::signer::Listener =
            Arc::new(move |event: &Event| events.lock().unwrap().push(event.clone()));
        Signer::start(&self.kms, vec![connection], &listener).unwrap()
    }

    /// What an operator heard of.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }
}

fn login(kms: &KeyManager) -> Caller {
    let (principal, passphrase) = ("alice".parse().unwrap(), SecretBytes::copy_from(PASSPHRASE));
    let (principal, passphrase, client) = (&principal, &passphrase, Client::default());
    kms.login(Login { principal, passphrase, mfa_code: None, client }).unwrap()
}

/// Waits until the connection's status is as wanted.
pub(crate) fn until(signer: &Signer, wanted: impl Fn(&Status) -> bool) -> Status {
    let started = Instant::now();
    loop {
        let status = signer.status().remove(0);
        if wanted(&status) {
            return status;
        }
        assert!(started.elapsed() < PATIENCE, "{status:?}");
        std::thread::yield_now();
    }
}
