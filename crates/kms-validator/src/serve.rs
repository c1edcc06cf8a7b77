//! Answering a node.
//!
//! A refusal is an answer, and final: a node does not ask again. Where something is merely not to be
//! had (a disk that failed, a token that is gone, a sealed keystore), no is not the answer: the same
//! is tried for a while, and then the connection is ended, upon which a node asks again.

use std::io;
use std::io::Read;
use std::io::Write;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use kms::manager::Error;
use kms::manager::ErrorKind;
use kms::manager::KeyManager;
use kms::manager::Node;
use kms_formats::comet::ChainId;
use kms_formats::comet::Message;
use kms_formats::comet::privval::Dialect;
use kms_formats::comet::privval::InvalidRequest;
use kms_formats::comet::privval::Kind;
use kms_formats::comet::privval::MESSAGE_BYTES;
use kms_formats::comet::privval::Request;
use kms_formats::comet::privval::Response;
use kms_formats::comet::privval::Signed;
use kms_formats::comet::privval::decode;
use kms_formats::comet::privval::encode;
use kms_formats::public::PublicKey;

use crate::frame;

/// A node asks for something at least every third of a second more than three.
pub(crate) const QUIET: Duration = Duration::from_secs(10);
/// A node gives up after five seconds: what may get better by itself is tried again until then.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);

/// What a connection needs to answer.
pub(crate) struct Answers<'a> {
    kms: &'a KeyManager,
    node: &'a Node,
    dialect: Dialect,
    /// Nodes ask for it with every height.
    public_key: Option<PublicKey>,
}

/// What came of one request.
pub(crate) enum Outcome {
    /// Nothing worth a count.
    Quiet,
    /// A signature left.
    Signed(Message, Duration),
    /// It was refused.
    Refused(&'static str, String),
}

impl<'a> Answers<'a> {
    pub(crate) fn new(kms: &'a KeyManager, node: &'a Node, dialect: Dialect) -> Self {
        Self { kms, node, dialect, public_key: None }
    }

    /// Reads one request and answers it; `None` when the node has hung up. `extend` is called with
    /// each request, so that the time for the next one begins anew.
    ///
    /// # Errors
    /// Those of the stream; `InvalidData` for what is no message of this protocol.
    pub(crate) fn answer<S: Read + Write>(
        &mut self,
        stream: &mut S,
        extend: impl FnOnce(&mut S),
    ) -> io::Result<Option<Outcome>> {
        let Some(request) = frame::read(stream, MESSAGE_BYTES)? else { return Ok(None) };
        extend(stream);
        let (response, outcome) = match decode(&request, self.dialect) {
            Ok(request) => self.respond(request)?,
            Err(InvalidRequest::Refused { kind, why }) => {
                let error = self.kms.refuse_consensus(self.node, why);
                refusal(kind, &error)?
            }
            Err(error @ InvalidRequest::NotAMessage(_)) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
            }
        };
        frame::write(stream, &encode(&response, self.dialect))?;
        Ok(Some(outcome))
    }

    fn respond(&mut self, request: Request) -> io::Result<(Response, Outcome)> {
        match request {
            Request::Ping => Ok((Response::Ping, Outcome::Quiet)),
            Request::PublicKey { chain } => match self.key(chain) {
                Ok(key) => Ok((Response::PublicKey(key), Outcome::Quiet)),
                Err(error) => refusal(Kind::PublicKey, &error),
            },
            Request::Sign { message, chain, skips_extension } => {
                let started = Instant::now();
                let kind = match &message {
                    Message::Vote(_) => Kind::Vote,
                    Message::Proposal(_) => Kind::Proposal,
                };
                match self.sign(&message, &chain, skips_extension) {
                    Ok(response) => Ok((response, Outcome::Signed(message, started.elapsed()))),
                    Err(error) => refusal(kind, &error),
                }
            }
        }
    }

    fn key(&mut self, chain: Option<ChainId>) -> Result<PublicKey, Error> {
        if chain.is_some_and(|chain| chain != self.node.chain) {
            return Err(self.kms.refuse_consensus(self.node, "the key of another chain"));
        }
        if let Some(key) = &self.public_key {
            return Ok(key.clone());
        }
        let key = self.kms.consensus_public_key(self.node)?;
        Ok(self.public_key.insert(key).clone())
    }

    fn sign(
        &self,
        message: &Message,
        chain: &ChainId,
        skips_extension: bool,
    ) -> Result<Response, Error> {
        let skips_extension = skips_extension || !self.dialect.has_extensions();
        let started = Instant::now();
        let vouched = loop {
            let asked = (message.clone(), chain);
            match self.kms.sign_consensus(self.node, asked, skips_extension) {
                Err(error) if is_trouble(&error) && started.elapsed() < PATIENCE => sleep(PAUSE),
                answer => break answer?,
            }
        };
        let (signature, extension_signature) = (vouched.signature, vouched.extension_signature);
        Ok(match message.clone().at(vouched.time) {
            Message::Vote(message) => {
                Response::Vote(Signed { message, signature, extension_signature })
            }
            Message::Proposal(message) => {
                Response::Proposal(Signed { message, signature, extension_signature })
            }
        })
    }
}

/// Whether something is not to be had, as against refused.
fn is_trouble(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable
}

fn refusal(kind: Kind, error: &Error) -> io::Result<(Response, Outcome)> {
    let why = error.to_string();
    if is_trouble(error) {
        return Err(io::Error::other(why));
    }
    Ok((Response::Refused { kind, why: why.clone() }, Outcome::Refused(error.code(), why)))
}
