//! `doctor`: walks the whole way to a signature, step by step, and stops where it ends.

use std::time::Duration;
use std::time::Instant;

use kms::key::Algorithm;
use kms::key::Scheme;

use crate::error::HsmError;
use crate::provider::HsmProvider;
use crate::supervisor::Observer;

/// How many signatures tell how fast the token is.
const TIMED: u32 = 20;

/// One step that was walked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorStep {
    /// Its name: file, load, initialize, slots, token, login, mechanisms, make, sign, verify, delete,
    /// latency.
    pub step: &'static str,
    /// Whether it succeeded; the last one may not have.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
    /// What to do, where it did not succeed.
    pub fix: Vec<String>,
}

/// The steps in their order.
const STEPS: [&str; 12] = [
    "file",
    "load",
    "initialize",
    "slots",
    "token",
    "login",
    "mechanisms",
    "make",
    "sign",
    "verify",
    "delete",
    "latency",
];

#[derive(Default)]
struct Walked(Vec<DoctorStep>);

impl Observer for Walked {
    fn done(&mut self, step: &'static str, detail: String) {
        self.0.push(DoctorStep { step, ok: true, detail, fix: Vec::new() });
    }
}

impl HsmProvider {
    /// Walks from the library's file to a signature of a test key, which is removed again. The last
    /// step is the one that failed, if one did.
    pub fn doctor(&self) -> Vec<DoctorStep> {
        let mut walked = Walked::default();
        let started = self.supervisor().start(&mut walked);
        let result = self.supervisor().started(started).and_then(|_| self.try_key(&mut walked));
        if let Err(error) = result {
            let step = STEPS.get(walked.0.len()).copied().unwrap_or("latency");
            let fix = match &error {
                HsmError::Device(error) => error.advice.clone(),
                _ => Vec::new(),
            };
            walked.0.push(DoctorStep { step, ok: false, detail: error.to_string(), fix });
        }
        walked.0
    }

    fn try_key(&self, walked: &mut Walked) -> Result<(), HsmError> {
        let can = self.status()?.algorithms;
        // The quickest to make of what it has.
        let order = [Algorithm::P256, Algorithm::Ed25519, Algorithm::Secp256k1, Algorithm::Rsa2048];
        let Some(algorithm) = order.into_iter().find(|algorithm| can.contains(algorithm)) else {
            walked.done(
                "make",
                "left out: keys of this token are made with the vendor's tool".into(),
            );
            return Ok(());
        };
        let label = format!("virtengine:doctor:{}", std::process::id());
        let key = self.generate_key(&label, algorithm)?;
        walked.done("make", format!("a {algorithm} key"));
        let tried = self.use_key(walked, &key);
        let removed = self.delete_key(&label);
        let took = tried?;
        removed?;
        walked.done("delete", "the test key is gone".to_owned());
        walked.done("latency", format!("{took:.1?} a {algorithm} signature, one caller"));
        Ok(())
    }

    fn use_key(
        &self,
        walked: &mut Walked,
        key: &crate::HsmKeyHandle,
    ) -> Result<Duration, HsmError> {
        let message = b"virtengine hsm doctor";
        let signed = self.sign(key, (message, Scheme::default()))?;
        walked.done("sign", format!("{} bytes", signed.bytes.len()));
        let valid = self.verify(key, (message, Scheme::default()), &signed.bytes);
        let other = self.verify(key, (b"another", Scheme::default()), &signed.bytes);
        if !valid || other {
            let why = "the signature does not verify outside the token".to_owned();
            return Err(crate::error::integrity(why).into());
        }
        walked.done("verify", "outside the token; another message is refused".to_owned());
        let started = Instant::now();
        for _ in 0..TIMED {
            self.sign(key, (message, Scheme::default()))?;
        }
        Ok(started.elapsed() / TIMED)
    }
}
