//! One lane: a thread, a socket, a session. One request at a time; the next is read when its answer
//! was written.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use cryptoki::session::Session;
use kms::key::PublicKey;
use kms_secret::SecretBytes;

use crate::wire::Answer;
use crate::wire::FailureKind;
use crate::wire::Line;
use crate::wire::Outcome;
use crate::wire::Request;
use crate::worker::failure::failure;
use crate::worker::keys;
use crate::worker::make;
use crate::worker::module::Module;
use crate::worker::wrapping;

/// Starts the thread of a lane.
pub(super) fn start(socket: UnixStream, module: Arc<Module>) -> io::Result<()> {
    let mut lane = Lane { line: Line::new(socket), module, session: None };
    let run = move || while lane.serve().is_ok() {};
    std::thread::Builder::new().name("lane".to_owned()).spawn(run).map(drop)
}

struct Lane {
    line: Line,
    module: Arc<Module>,
    session: Option<Session>,
}

impl Lane {
    fn serve(&mut self) -> io::Result<()> {
        let secret = self.line.receive()?;
        let (outcome, given) = match self.line.value() {
            Ok(request) => answer(&self.module, &mut self.session, &request, &secret),
            Err(error) => (Err(failure(FailureKind::Refused, error.to_string())), None),
        };
        drop(secret);
        if outcome.is_err() {
            // An operation may be half done in it, and what a handle names may have changed.
            self.session = None;
            self.module.forget_handles();
        } else if !self.module.pooling {
            self.session = None;
            self.module.forget_handles();
        }
        self.line.send(&outcome, given.as_ref())
    }
}

fn answer(
    module: &Module,
    session: &mut Option<Session>,
    request: &Request<'_>,
    secret: &SecretBytes,
) -> (Outcome<Answer>, Option<SecretBytes>) {
    if session.is_none() {
        match module.session() {
            Ok(opened) => *session = Some(opened),
            Err(failed) => return (Err(failed), None),
        }
    }
    let Some(session) = session else {
        return (Err(failure(FailureKind::Session, "no session")), None);
    };
    if let Request::Unwrap { label, sha256, ciphertext } = request {
        return match wrapping::unwrap(session, label, (*sha256, ciphertext)) {
            Ok(seed) => (Ok(Answer::Unwrapped), Some(seed)),
            Err(failed) => (Err(failed), None),
        };
    }
    (carry_out(module, session, request, secret), None)
}

fn carry_out(
    module: &Module,
    session: &Session,
    request: &Request<'_>,
    secret: &SecretBytes,
) -> Outcome<Answer> {
    match request {
        Request::Sign { key, mechanism, data } => {
            keys::sign(module, session, (*key, *mechanism), data).map(Answer::Signature)
        }
        Request::Find { wanted } => keys::find(module, session, wanted).map(Answer::Objects),
        Request::Generate { name, algorithm, resume } => {
            make::generate(module, session, (name, *algorithm), *resume).map(Answer::Made)
        }
        Request::Import { name, algorithm, public, resume } => {
            let public = PublicKey::new(*algorithm, public)
                .map_err(|_| failure(FailureKind::Refused, "the public key has the wrong form"))?;
            make::import(module, session, (name, &public), (secret, *resume)).map(Answer::Made)
        }
        Request::Destroy { id, label } => {
            keys::destroy(session, (id, label))?;
            module.forget_handles();
            Ok(Answer::Done)
        }
        Request::WrappingKey { label } => wrapping::wrapping_key(session, label),
        Request::Unwrap { .. } => Err(failure(FailureKind::Refused, "not here")),
    }
}
