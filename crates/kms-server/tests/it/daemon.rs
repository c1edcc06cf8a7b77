//! A daemon on a home of its own, and raw HTTP to ask it with.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use kms::manager::Init;
use kms::manager::KeyManager;
use kms::manager::Mfa;
use kms::manager::Options;
use kms::time::Clock;
use kms::time::ManualClock;
use kms::time::SystemClock;
use kms_secret::SecretBytes;
use kms_server::Limits;
use kms_server::Server;
use kms_server::Settings;
use kms_server::Stopper;
use serde_json::Value;
use serde_json::json;

/// Everyone's passphrase.
pub(crate) const PASSPHRASE: &str = "correct horse battery staple 7!";

/// A daemon with the administrator `alice`, unlocked.
pub(crate) struct Daemon {
    dir: tempfile::TempDir,
    /// Its clock.
    pub(crate) clock: Arc<ManualClock>,
    stopper: Stopper,
    thread: Option<JoinHandle<Result<(), kms_server::ServerError>>>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("no JSON ({e}): {}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of a problem; nothing where it is none.
    pub(crate) fn code(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        value["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (header, value) = line.split_once(':')?;
            header.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Holds the answer to a status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} {}", self.head, String::from_utf8_lossy(&self.body));
        self
    }
}

impl Daemon {
    /// A daemon within the usual limits.
    pub(crate) fn new() -> Self {
        Self::within(Limits::default())
    }

    /// A daemon within these limits.
    pub(crate) fn within(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let options = Options {
            clock: Arc::<ManualClock>::clone(&clock),
            stays: true,
            ..Options::new(dir.path().join("home"))
        };
        let passphrase = SecretBytes::copy_from(PASSPHRASE.as_bytes());
        let admin = "alice".parse().unwrap();
        let init = Init { admin, passphrase: &passphrase, mfa: Mfa::None };
        KeyManager::init(&options, init).unwrap();
        let kms = KeyManager::open(options).unwrap();
        let unix = Some(dir.path().join("kms.sock"));
        let server = Server::listen(kms, Settings { unix, tls: None, limits }).unwrap();
        let stopper = server.stopper();
        let thread = Some(std::thread::spawn(move || server.run()));
        Self { dir, clock, stopper, thread }
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("kms.sock")
    }

    /// A connection that gives up after a while, so that a test that fails ends.
    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Asks for something on a connection of its own.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        session: Option<&str>,
        body: &str,
    ) -> Answer {
        let mut stream = self.connect();
        send(&mut stream, (method, path), session, body);
        receive(&mut stream).unwrap()
    }

    /// Asks for something with a body of JSON.
    pub(crate) fn post(&self, path: &str, session: &str, body: Value) -> Answer {
        self.ask("POST", path, Some(session), &body.to_string())
    }

    /// Logs someone in; returns the session.
    pub(crate) fn login(&self, principal: &str) -> String {
        let body = json!({"principal": principal, "passphrase": PASSPHRASE}).to_string();
        let answer = self.ask("POST", "/v1/sessions", None, &body).expect(200);
        answer.json()["session"].as_str().unwrap().to_owned()
    }

    /// Makes a key as the administrator; returns its id.
    pub(crate) fn key(&self, admin: &str, name: &str) -> String {
        let made = self.post("/v1/keys", admin, json!({"name": name})).expect(200);
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// Stops it, and looks how it ended.
    pub(crate) fn stop(mut self) -> tempfile::TempDir {
        self.stopper.stop();
        self.thread.take().unwrap().join().unwrap().unwrap();
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    /// What ends it.
    pub(crate) fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// Writes a request.
pub(crate) fn send(
    stream: &mut UnixStream,
    (method, path): (&str, &str),
    session: Option<&str>,
    body: &str,
) {
    let session = session.map(|s| format!("authorization: Bearer {s}\r\n")).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{session}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
}

/// Reads an answer; nothing where the connection ends first.
pub(crate) fn receive(stream: &mut UnixStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    let mut piece = [0; 64 << 10];
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let mut answer = Answer { status: 0, head, body: bytes.split_off(at + 4) };
            answer.status = answer.head[9..12].parse().unwrap();
            let length: usize = answer.header("content-length").unwrap_or("0").parse().unwrap();
            while answer.body.len() < length {
                match stream.read(&mut piece).unwrap() {
                    0 => return None,
                    read => answer.body.extend_from_slice(&piece[..read]),
                }
            }
            return Some(answer);
        }
        match stream.read(&mut piece) {
            Ok(0) => return None,
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
            read => bytes.extend_from_slice(&piece[..read.unwrap()]),
        }
    }
}
