//! The signer in a process of its own, so that it can be killed.

use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::sync::Arc;

use kms::key::KeyRef;
use kms::manager::Node;
use kms_formats::comet::ChainId;
use kms_secret::SecretBytes;
use kms_validator::Connection;
use kms_validator::Event;
use kms_validator::Identity;
use kms_validator::Signer;
use kms_validator::signer::Listener;

use crate::home;
use crate::interop::chain::KEY;
use crate::shell::Outcome;

/// A running signer.
pub(crate) struct SignerProcess(Child);

impl SignerProcess {
    /// Starts it and returns when its home is open and it dials.
    pub(crate) fn start(
        kms: &Path,
        (address, chain): (&str, &ChainId),
        dialect: &str,
    ) -> Outcome<Self> {
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(this);
        command.arg("signer").arg(kms).args([address, chain.as_str(), dialect]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn();
        let mut child = child.map_err(|error| format!("the signer does not start: {error}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("the signer has no output")?;
        let read = BufReader::new(stdout).read_line(&mut line);
        let started = Self(child); // ended when it is not returned
        if read.is_ok_and(|read| read > 0) { Ok(started) } else { Err("the signer ended".into()) }
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) -> Outcome {
        self.0.kill().map_err(|error| error.to_string())?;
        self.0.wait().map(|_| ()).map_err(|error| error.to_string())
    }
}

impl Drop for SignerProcess {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// `signer HOME ADDRESS CHAIN DIALECT`: signs until it is killed.
pub(crate) fn main(words: &[&str]) -> ExitCode {
    match sign(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn sign(words: &[&str]) -> Outcome {
    let [home, address, chain, dialect] = words else { return Err("four words".into()) };
    let (kms, caller) = home::open(Path::new(home)).map_err(|error| error.to_string())?;
    let label: KeyRef = KEY.parse().map_err(|error| format!("{error}"))?;
    let key = kms.get_key(&caller, &label).map_err(|error| error.to_string())?.id;
    let chain = chain.parse().map_err(|error| format!("{error}"))?;
    let seed = SecretBytes::copy_from(&[5; 32]);
    let connection = Connection {
        node: Node { name: "interop".to_owned(), key, chain },
        address: address.parse().map_err(|error| format!("{error}"))?,
        dialect: dialect.parse().map_err(|error| format!("{error}"))?,
        identity: Identity::from_seed(&seed).map_err(|error| error.to_string())?,
        peer_uid: None,
    };
    let listener: Listener = Arc::new(|event: &Event| eprintln!("signer: {event:?}"));
    let kms = Arc::new(kms);
    let signer = Signer::start(&kms, vec![connection], &listener);
    let _signer = signer.map_err(|error| error.to_string())?;
    println!("signing");
    loop {
        std::thread::park();
    }
}
