//! The worker as seen from outside: a process that is started, spoken to with a deadline on
//! everything, and killed.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use kms_secret::SecretBytes;

use crate::lane::Lanes;
use crate::profile::PROFILES;
use crate::wire::Answer;
use crate::wire::Capabilities;
use crate::wire::Line;
use crate::wire::Outcome;
use crate::wire::Request;
use crate::wire::SlotInfo;
use crate::wire::Step;
use crate::wire::Stepped;
use crate::wire::exchange;

/// The program that is the worker: this one with a word that people do not type, or one of its own.
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    /// Its path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl WorkerProgram {
    /// This program itself, started with `arguments`.
    ///
    /// The running file is named by way of the kernel, so that an upgrade under our feet does not put
    /// another version at the other end.
    pub fn this(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(OsString::from).collect();
        Self { program: "/proc/self/exe".into(), arguments }
    }
}

/// A worker that is running.
#[derive(Debug)]
pub(crate) struct Process {
    child: Mutex<Child>,
    control: Mutex<Line>,
}

/// A worker that has logged in: what it found there, and the lanes to it.
#[derive(Debug)]
pub(crate) struct Worker {
    process: Process,
    lanes: Lanes,
    pub(crate) slot: SlotInfo,
    pub(crate) capabilities: Capabilities,
    pub(crate) profile: &'static crate::profile::Profile,
    /// What an operator should know of this start.
    pub(crate) notice: Option<String>,
}

/// Why a call got no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The worker or its library did not answer in time.
    TimedOut(Duration),
    /// Every lane stayed in use.
    Busy,
    /// The worker is gone.
    Gone(io::Error),
}

impl Process {
    /// Starts a worker. Of the environment it gets only what libraries read for their own settings,
    /// and `environment`: nothing by which other code could be put into it.
    pub(crate) fn start(
        program: &WorkerProgram,
        environment: &[(String, String)],
    ) -> io::Result<Self> {
        let (here, there) = UnixStream::pair()?;
        let known = PROFILES.iter().flat_map(|profile| profile.variables);
        let passed = known.filter_map(|name| Some((*name, std::env::var_os(name)?)));
        let child = Command::new(&program.program)
            .args(&program.arguments)
            .env_clear()
            .envs(passed)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(there)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child: Mutex::new(child), control: Mutex::new(Line::new(here)) })
    }

    /// One step of the start.
    pub(crate) fn step(
        &self,
        step: &Step,
        secret: Option<&SecretBytes>,
        limit: Duration,
    ) -> Result<Outcome<Stepped>, Lost> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = control.socket();
        let set = socket
            .set_read_timeout(Some(limit))
            .and_then(|()| socket.set_write_timeout(Some(limit)));
        set.map_err(Lost::Gone)?;
        let answered = exchange(&mut control, step, secret);
        answered.map(|(outcome, _)| outcome).map_err(|error| lost(error, limit))
    }

    /// The number of the process, for tests and operators.
    pub(crate) fn id(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Ends it at once. Also when it hangs: nothing is asked of it.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill(); // it may have ended by itself
        let _ = child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Worker {
    pub(crate) fn new(
        process: Process,
        lanes: usize,
        found: (SlotInfo, Capabilities, &'static crate::profile::Profile),
        notice: Option<String>,
    ) -> Self {
        let (slot, capabilities, profile) = found;
        Self { process, lanes: Lanes::new(lanes), slot, capabilities, profile, notice }
    }

    /// Makes one request on a lane of its own.
    ///
    /// # Errors
    /// When there is no answer; unless it was only [`Lost::Busy`], this worker is of no use any more.
    pub(crate) fn call<T>(
        &self,
        request: &Request<'_>,
        secret: Option<&SecretBytes>,
        (limit, read): (Duration, impl FnOnce(Outcome<Answer>, SecretBytes) -> T),
    ) -> Result<T, Lost> {
        let until = Instant::now() + limit;
        let lane = self.lanes.take(&self.process.control, until).map_err(Lost::Gone)?;
        let mut lane = lane.ok_or(Lost::Busy)?;
        match lane.call(request, secret, (limit, read)) {
            Ok(value) => {
                self.lanes.put_back(lane);
                Ok(value)
            }
            Err(error) => {
                self.lanes.lost();
                Err(lost(error, limit))
            }
        }
    }

    /// Looks at the slots again, without touching a session.
    pub(crate) fn slots(&self, limit: Duration) -> Result<Outcome<Stepped>, Lost> {
        self.process.step(&Step::Slots, None, limit)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Lets the library close its sessions and end, if it does so in time; else ends it.
    pub(crate) fn end(&self, limit: Duration) {
        self.lanes.close();
        let _ = self.process.step(&Step::End, None, limit); // killed in any case
        self.process.kill();
    }

    pub(crate) fn kill(&self) {
        self.lanes.close();
        self.process.kill();
    }
}

fn lost(error: io::Error, limit: Duration) -> Lost {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Lost::TimedOut(limit),
        _ => Lost::Gone(error),
    }
}
