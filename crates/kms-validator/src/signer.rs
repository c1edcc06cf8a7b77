//! The signer: a thread for each node, which dials, answers, and dials again.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread::JoinHandle;
use std::time::Duration;

use kms::manager::KeyManager;
use kms::manager::Node;
use kms_formats::comet::privval::Dialect;

use crate::address::Address;
use crate::dial::Hangup;
use crate::dial::Peer;
use crate::dial::Stream;
use crate::dial::dial;
use crate::identity::Identity;
use crate::serve::Answers;
use crate::serve::Outcome;
use crate::serve::QUIET;
use crate::status::Status;

/// Between two attempts: a node waits three seconds for its signer at its start.
const REDIAL: Duration = Duration::from_millis(400);

/// A node and what it may use.
#[derive(Debug)]
pub struct Connection {
    /// Its name, the key and the chain.
    pub node: Node,
    /// Where it listens.
    pub address: Address,
    /// Which wire format it speaks.
    pub dialect: Dialect,
    /// Who we are to it.
    pub identity: Identity,
    /// Whose process may listen at a unix socket, besides this user's and root's.
    pub peer_uid: Option<u32>,
}

/// What an operator should hear of at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A node is connected.
    Connected {
        /// The connection.
        name: String,
        /// Who is there.
        peer: String,
    },
    /// Another node answers than before: it was started anew, or somebody else is there.
    PeerChanged {
        /// The connection.
        name: String,
        /// Who was there.
        before: String,
        /// Who is there now.
        now: String,
    },
    /// The connection is gone; it is dialled again.
    Disconnected {
        /// The connection.
        name: String,
        /// Why.
        why: String,
    },
    /// A request was refused.
    Refused {
        /// The connection.
        name: String,
        /// The stable code of the refusal.
        code: &'static str,
        /// In words.
        why: String,
    },
}

/// Who hears of events. Called on the connection's thread; must not wait.
pub type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// The running signer. Dropping it stops it.
pub struct Signer {
    lines: Vec<(Arc<Line>, Option<JoinHandle<()>>)>,
}

/// One connection, seen from outside its thread.
struct Line {
    connection: Connection,
    status: Mutex<Status>,
    control: Mutex<Control>,
    wake: Condvar,
}

#[derive(Default)]
struct Control {
    stopped: bool,
    hangup: Option<Hangup>,
}

impl Signer {
    /// Starts a thread for each connection.
    ///
    /// # Errors
    /// That of the system, if it gives no thread; those that run are stopped.
    pub fn start(
        kms: &Arc<KeyManager>,
        connections: Vec<Connection>,
        listener: &Listener,
    ) -> io::Result<Self> {
        let mut signer = Self { lines: Vec::new() };
        for connection in connections {
            let status = Status { name: connection.node.name.clone(), ..Status::default() };
            let line = Arc::new(Line {
                connection,
                status: Mutex::new(status),
                control: Mutex::default(),
                wake: Condvar::new(),
            });
            let (its, kms, listener) = (Arc::clone(&line), Arc::clone(kms), Arc::clone(listener));
            let builder = std::thread::Builder::new().name("validator".to_owned());
            let thread = builder.spawn(move || its.run(&kms, &listener))?;
            signer.lines.push((line, Some(thread)));
        }
        Ok(signer)
    }

    /// What each connection did, in the order of the configuration.
    pub fn status(&self) -> Vec<Status> {
        self.lines.iter().map(|(line, _)| line.status().clone()).collect()
    }

    /// Hangs up and waits for the threads: a signature that is being made is finished first.
    pub fn stop(&mut self) {
        for (line, _) in &self.lines {
            line.stop();
        }
        for (_, thread) in &mut self.lines {
            if let Some(thread) = thread.take() {
                _ = thread.join();
            }
        }
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.lines.iter().map(|(line, _)| &line.connection.node.name);
        f.debug_list().entries(names).finish()
    }
}

impl Line {
    fn run(&self, kms: &KeyManager, listener: &Listener) {
        let mut before: Option<Peer> = None;
        while !self.control().stopped {
            let ended = self.connect().and_then(|(mut stream, peer)| {
                self.welcome(&peer, before.replace(peer.clone()).as_ref(), listener);
                self.converse(kms, &mut stream, listener)
            });
            self.control().hangup = None;
            self.part(
                ended.map_or_else(|e| e.to_string(), |()| "the node hung up".to_owned()),
                listener,
            );
            self.pause();
        }
    }

    fn connect(&self) -> io::Result<(Stream, Peer)> {
        let connection = &self.connection;
        let (stream, peer, hangup) =
            dial(&connection.address, (&connection.identity, connection.peer_uid))?;
        let mut control = self.control();
        if control.stopped {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        control.hangup = Some(hangup);
        Ok((stream, peer))
    }

    /// Answers until the node hangs up.
    fn converse(
        &self,
        kms: &KeyManager,
        stream: &mut Stream,
        listener: &Listener,
    ) -> io::Result<()> {
        let mut answers = Answers::new(kms, &self.connection.node, self.connection.dialect);
        stream.extend(QUIET);
        while let Some(outcome) = answers.answer(stream, |stream| stream.extend(QUIET))? {
            match outcome {
                Outcome::Quiet => {}
                Outcome::Signed(message, took) => {
                    let at = (message.height(), message.round(), message.step());
                    self.status().signed(at, took);
                }
                Outcome::Refused(code, why) => {
                    self.status().refused(code, why.clone());
                    let name = self.connection.node.name.clone();
                    listener(&Event::Refused { name, code, why });
                }
            }
        }
        Ok(())
    }

    fn welcome(&self, peer: &Peer, before: Option<&Peer>, listener: &Listener) {
        let (name, now) = (self.connection.node.name.clone(), peer.to_string());
        let mut status = self.status();
        (status.connected, status.trouble) = (true, None);
        status.peer = Some(now.clone());
        status.connects += 1;
        drop(status);
        match before.filter(|before| *before != peer) {
            Some(before) => {
                listener(&Event::PeerChanged { name, before: before.to_string(), now });
            }
            None => listener(&Event::Connected { name, peer: now }),
        }
    }

    /// Tells of what ended the connection, once for as long as it stays the same.
    fn part(&self, why: String, listener: &Listener) {
        let mut status = self.status();
        let is_news = status.connected || status.trouble.as_ref() != Some(&why);
        status.connected = false;
        status.trouble = Some(why.clone());
        drop(status);
        if is_news {
            listener(&Event::Disconnected { name: self.connection.node.name.clone(), why });
        }
    }

    fn pause(&self) {
        let control = self.control();
        if !control.stopped {
            let waited = self.wake.wait_timeout(control, REDIAL);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn stop(&self) {
        let mut control = self.control();
        control.stopped = true;
        if let Some(hangup) = control.hangup.take() {
            hangup();
        }
        self.wake.notify_all();
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
