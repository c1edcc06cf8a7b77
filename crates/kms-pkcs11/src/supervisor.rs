//! The supervisor: keeps a worker running, and decides what is tried again.
//!
//! ```text
//!  call ─▶ answer                                  done
//!       ├▶ session or handle lost     once more, in a new session
//!       ├▶ device in trouble, worker gone          kill, start anew, once more
//!       ├▶ no answer in time                       kill; the next call starts anew
//!       └▶ refused (full, PIN, not supported …)    told
//! ```
//!
//! Starting anew is all there is of recovery: a new process has a library that was never in trouble.
//! Starts that fail are spaced out, and after the third the circuit is open: calls are told at once,
//! and one of them tries again each time the pause is over.
//!
//! Asking twice is safe: the same message to the same key, and only what comes back last is handed
//! on. Making a key twice is not, so the second time says that there was a first (`resume`).

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use kms::storage::DeviceError;
use kms_secret::SecretBytes;

use crate::config::HsmProviderConfig;
use crate::config::MOST_SESSIONS;
use crate::error;
use crate::error::HsmError;
use crate::ledger;
use crate::ledger::Ledger;
use crate::ledger::PinTrouble;
use crate::library;
use crate::process::Lost;
use crate::process::Process;
use crate::process::Worker;
use crate::process::WorkerProgram;
use crate::profile::Profile;
use crate::slots;
use crate::wire::Answer;
use crate::wire::Failure;
use crate::wire::FailureKind;
use crate::wire::Outcome;
use crate::wire::Request;
use crate::wire::SlotInfo;
use crate::wire::Step;
use crate::wire::Stepped;

/// Starts that failed before calls are told at once.
const OPEN_AFTER: u32 = 3;
/// How often one call is tried at most.
const ATTEMPTS: usize = 6;
/// The longest pause between starts: what is back is found within two seconds.
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// Keeps the worker of one HSM.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) config: HsmProviderConfig,
    program: WorkerProgram,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    ledger: Ledger,
    pin: Option<SecretBytes>,
    /// Starts or calls that failed since the last success.
    failures: u32,
    /// Workers started so far.
    starts: u64,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    Starting,
    Up(Arc<Worker>),
    /// Not before this moment again, and why.
    Down(Instant, HsmError),
    /// Every secret was to be forgotten.
    Locked,
}

/// How a start went, step by step; for `doctor`.
pub(crate) trait Observer {
    /// A step has succeeded; what was found.
    fn done(&mut self, step: &'static str, detail: String);
}

impl Observer for () {
    fn done(&mut self, _: &'static str, _: String) {}
}

impl Supervisor {
    pub(crate) fn new(config: HsmProviderConfig, program: WorkerProgram) -> Self {
        Self { config, program, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Makes a request, and makes it again where that is safe and promises something. `request` is
    /// told whether there was an attempt before.
    ///
    /// # Errors
    /// What the last attempt came to.
    pub(crate) fn call<'r, T>(
        &self,
        request: impl Fn(bool) -> Request<'r>,
        secret: Option<&SecretBytes>,
        (limit, read): (Duration, impl Fn(Answer, SecretBytes) -> Option<T>),
    ) -> Result<T, HsmError> {
        let until = Instant::now() + self.config.timeouts.recovery.max(limit);
        let mut sessions_lost = 0;
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            let worker = match self.worker(until) {
                Ok(worker) => worker,
                Err(error) => return Err(last.unwrap_or(error)),
            };
            let taken = |outcome: Outcome<Answer>, secret| outcome.map(|a| read(a, secret));
            let failed = match worker.call(&request(attempt > 0), secret, (limit, taken)) {
                Ok(Ok(Some(value))) => {
                    self.succeeded();
                    return Ok(value);
                }
                Ok(Ok(None)) => {
                    let told = "it answered something else than was asked".to_owned();
                    Failure { kind: FailureKind::Device, told }
                }
                Ok(Err(failure)) => failure,
                Err(Lost::Busy) => {
                    let most = self.config.max_sessions;
                    let message = format!(
                        "HSM `{}`: all {most} sessions were in use for {limit:?}",
                        self.config.name
                    );
                    return Err(error::unavailable(message).into());
                }
                Err(Lost::TimedOut(limit)) => {
                    let told = format!("no answer within {limit:?}; the library was ended");
                    let failure = Failure { kind: FailureKind::Device, told };
                    let error = error::of_failure(&self.config.name, &failure);
                    self.retire(&worker, &error);
                    return Err(error);
                }
                Err(Lost::Gone(error)) => {
                    let told = format!("the library's process has ended: {error}");
                    Failure { kind: FailureKind::Device, told }
                }
            };
            let error = error::of_failure(&self.config.name, &failed);
            match failed.kind {
                FailureKind::Session if sessions_lost == 0 => sessions_lost += 1,
                FailureKind::Session | FailureKind::Device => self.retire(&worker, &error),
                _ => return Err(error),
            }
            last = Some(error);
            if Instant::now() >= until {
                break;
            }
        }
        let message = format!("HSM `{}` does not answer", self.config.name);
        Err(last.unwrap_or_else(|| error::unavailable(message).into()))
    }

    /// The worker, which is started if there is none.
    ///
    /// # Errors
    /// When it cannot be started, or not yet again.
    pub(crate) fn worker(&self, until: Instant) -> Result<Arc<Worker>, HsmError> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let pause = match &state.phase {
                Phase::Up(worker) => return Ok(Arc::clone(worker)),
                Phase::Locked => return Err(locked(&self.config.name).into()),
                Phase::Idle => break,
                Phase::Down(not_before, _) if *not_before <= now => break,
                Phase::Down(not_before, error) => {
                    if state.failures >= OPEN_AFTER || *not_before >= until {
                        return Err(error.clone());
                    }
                    not_before.saturating_duration_since(now)
                }
                Phase::Starting if now >= until => {
                    let message = format!("HSM `{}` is being started", self.config.name);
                    return Err(error::unavailable(message).into());
                }
                Phase::Starting => until.saturating_duration_since(now),
            };
            let waited = self.changed.wait_timeout(state, pause);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.phase = Phase::Starting;
        state.starts += 1;
        drop(state);
        let started = self.start(&mut ());
        self.started(started)
    }

    /// Starts a worker, step by step; `observer` hears of each that has succeeded.
    pub(crate) fn start(&self, observer: &mut dyn Observer) -> Result<Worker, HsmError> {
        let config = &self.config;
        let limit = config.timeouts.start;
        let path = library::check(&config.library_path)?;
        observer.done("file", path.display().to_string());
        let process = Process::start(&self.program, &config.environment).map_err(|error| {
            error::unavailable(format!("the process for a PKCS#11 library does not start: {error}"))
        })?;
        let run = |step: &Step, secret: Option<&SecretBytes>| {
            let name = &config.name;
            match process.step(step, secret, limit) {
                Ok(outcome) => outcome,
                Err(Lost::TimedOut(limit)) => Err(device(format!("no answer within {limit:?}"))),
                Err(Lost::Gone(error)) => {
                    Err(device(format!("the library's process has ended: {error}")))
                }
                Err(Lost::Busy) => Err(device(format!("HSM `{name}` is in use"))),
            }
        };
        let told = |failure: Failure| self.start_failure(&path.display().to_string(), &failure);
        let shown = path.display().to_string();
        run(&Step::Load { path: shown }, None).map_err(told)?;
        observer.done("load", "it is a PKCS#11 library".to_owned());
        run(&Step::Initialize, None).map_err(|failure| self.not_initialised(&failure))?;
        observer.done("initialize", "C_Initialize succeeded".to_owned());
        let slots = match run(&Step::Slots, None).map_err(told)? {
            Stepped::Slots(slots) => slots,
            other => return Err(nonsense(&other).into()),
        };
        let tokens = slots.iter().filter(|slot| slot.present).count();
        observer.done("slots", format!("{} slots, {tokens} with a token", slots.len()));
        let (slot, notice) = slots::choose(&slots, config)?;
        let found = format!("`{}`, serial {}, slot {}", slot.label, slot.serial, slot.id);
        observer.done("token", notice.as_ref().map_or(found.clone(), |n| format!("{found}; {n}")));
        let profile =
            config.profile.unwrap_or_else(|| Profile::of_manufacturers(&[&slot.manufacturer]));
        self.log_in(slot, profile, &run)?;
        observer.done(
            "login",
            if slot.login_required { "the PIN is right" } else { "none needed" }.to_owned(),
        );
        let step =
            Step::Capabilities { profile: profile.name.into(), pooling: config.session_pooling };
        let capabilities = match run(&step, None).map_err(told)? {
            Stepped::Capabilities(capabilities) => capabilities,
            other => return Err(nonsense(&other).into()),
        };
        let names: Vec<&str> = capabilities.algorithms.iter().map(|a| a.name()).collect();
        let count = capabilities.mechanisms.len();
        observer.done("mechanisms", format!("{count}; it has {}", names.join(", ")));
        let found = (slot.clone(), capabilities, profile);
        Ok(Worker::new(process, self.sessions(slot, profile), found, notice))
    }

    /// Takes a worker for the one in use, and tells everyone who waits.
    pub(crate) fn started(
        &self,
        started: Result<Worker, HsmError>,
    ) -> Result<Arc<Worker>, HsmError> {
        let mut state = self.lock();
        let locked_meanwhile = matches!(state.phase, Phase::Locked);
        let result = match started {
            Ok(_) if locked_meanwhile => Err(locked(&self.config.name).into()),
            Ok(worker) => {
                let worker = Arc::new(worker);
                state.phase = Phase::Up(Arc::clone(&worker));
                Ok(worker)
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                if !locked_meanwhile {
                    let not_before = Instant::now() + pause(state.failures);
                    state.phase = Phase::Down(not_before, error.clone());
                }
                Err(error)
            }
        };
        drop(state);
        self.changed.notify_all();
        result
    }

    /// Forgets the PIN and ends the worker; nothing is signed until [`Self::unlock`].
    pub(crate) fn lock_out(&self) {
        let mut state = self.lock();
        let phase = std::mem::replace(&mut state.phase, Phase::Locked);
        state.pin = None;
        drop(state);
        self.changed.notify_all();
        if let Phase::Up(worker) = phase {
            worker.end(self.config.timeouts.start);
        }
    }

    pub(crate) fn unlock(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Locked) {
            state.phase = Phase::Idle;
        }
    }

    /// The worker, if there is one; nothing is started.
    pub(crate) fn running(&self) -> Option<Arc<Worker>> {
        match &self.lock().phase {
            Phase::Up(worker) => Some(Arc::clone(worker)),
            Phase::Idle | Phase::Starting | Phase::Down(..) | Phase::Locked => None,
        }
    }

    /// How many workers were started, and what stands in the way of the next.
    pub(crate) fn history(&self) -> (u64, Option<String>) {
        let state = self.lock();
        let trouble = match &state.phase {
            Phase::Down(_, error) => Some(error.to_string()),
            Phase::Locked => Some("locked".to_owned()),
            Phase::Idle | Phase::Starting | Phase::Up(_) => None,
        };
        (state.starts, trouble)
    }

    /// Ends a worker that is of no use any more, unless that was done.
    fn retire(&self, worker: &Arc<Worker>, why: &HsmError) {
        let mut state = self.lock();
        match &state.phase {
            Phase::Up(current) if Arc::ptr_eq(current, worker) => {
                state.failures = state.failures.saturating_add(1);
                let not_before = Instant::now() + pause(state.failures.saturating_sub(1));
                state.phase = Phase::Down(not_before, why.clone());
            }
            _ => return,
        }
        drop(state);
        worker.kill();
        self.changed.notify_all();
    }

    fn succeeded(&self) {
        let mut state = self.lock();
        state.failures = 0;
    }

    fn log_in(
        &self,
        slot: &SlotInfo,
        profile: &'static Profile,
        run: &dyn Fn(&Step, Option<&SecretBytes>) -> Outcome<Stepped>,
    ) -> Result<(), HsmError> {
        let hsm = &self.config.name;
        let told = |failure: Failure| error::of_failure(hsm, &failure);
        run(&Step::Open { slot: slot.id }, None).map_err(told)?;
        let step = Step::Login;
        let Some(source) = &self.config.pin else {
            return run(&step, None).map(drop).map_err(told);
        };
        let kept = self.lock().pin.take();
        let pin = match kept {
            Some(pin) => pin,
            None => source.read(hsm)?,
        };
        self.lock().ledger.begin(hsm, slot, (profile, self.config.risk_pin))?;
        let Err(verdict) = run(&step, Some(&pin)) else {
            let mut state = self.lock();
            state.ledger.judged(Ok(()));
            state.pin = Some(pin);
            return Ok(());
        };
        if verdict.kind != FailureKind::Pin {
            let mut state = self.lock();
            // The process that ended, or did not answer, may have shown the PIN to the token.
            if verdict.told.starts_with("C_") {
                state.ledger.not_judged();
            }
            state.pin = Some(pin);
            return Err(error::of_failure(hsm, &verdict));
        }
        if self.lock().ledger.is_proven() {
            // It was right before: something else is wrong with the token, and another try is safe.
            let failure = Failure { kind: FailureKind::Device, told: verdict.told };
            let mut state = self.lock();
            state.pin = Some(pin);
            return Err(error::of_failure(hsm, &failure));
        }
        let after = match run(&Step::Slots, None) {
            Ok(Stepped::Slots(slots)) => {
                slots.iter().find(|seen| seen.id == slot.id).and_then(PinTrouble::of)
            }
            Ok(_) | Err(_) => None,
        };
        let after = after.filter(|_| profile.locks_pin);
        let refused = ledger::refused(hsm, &verdict.told, after);
        self.lock().ledger.judged(Err(refused.clone()));
        Err(refused.into())
    }

    /// Sessions for lanes: as many as are configured and as the token has, but the one that keeps the
    /// login.
    fn sessions(&self, slot: &SlotInfo, profile: &Profile) -> usize {
        let token = slot.max_sessions.and_then(|most| usize::try_from(most).ok());
        let limits = [token, profile.sessions].into_iter().flatten();
        let most = limits.fold(self.config.max_sessions.min(MOST_SESSIONS), usize::min);
        most.saturating_sub(1).max(1)
    }

    fn start_failure(&self, path: &str, failure: &Failure) -> HsmError {
        match failure.kind {
            FailureKind::Library => error::library_refused(path, &failure.told, Vec::new()).into(),
            _ => error::of_failure(&self.config.name, failure),
        }
    }

    fn not_initialised(&self, failure: &Failure) -> HsmError {
        let hsm = &self.config.name;
        let message = format!("failed to initialize PKCS#11: HSM `{hsm}`: {}", failure.told);
        let kind = kms::storage::DeviceErrorKind::Unavailable;
        let advice = vec![
            "SoftHSM: does SOFTHSM2_CONF name a readable file, and that a readable directory?",
            "YubiHSM: does the connector answer? Luna: is this client registered?",
            "settings of the library go into [hsm.NAME.environment]",
        ];
        let advice = advice.into_iter().map(str::to_owned).collect();
        DeviceError { kind, message, advice }.into()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(worker) = self.running() {
            worker.end(Duration::from_secs(1));
        }
    }
}

/// The pause before the start after so many failures.
fn pause(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        1 => Duration::from_millis(50),
        2 => Duration::from_millis(200),
        3 => Duration::from_millis(500),
        _ => LONGEST_PAUSE,
    }
}

fn device(told: String) -> Failure {
    Failure { kind: FailureKind::Device, told }
}

fn nonsense(answer: &Stepped) -> DeviceError {
    error::integrity(format!("the library's process answered {answer:?}"))
}

/// Told apart by the storage.
pub(crate) fn locked(hsm: &str) -> DeviceError {
    error::pin(format!("HSM `{hsm}` is locked"), vec!["log in to unlock it".to_owned()])
}
