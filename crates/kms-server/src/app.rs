//! What every request finds: the home, the limits, the lanes and the counters.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use kms::access::PrincipalId;
use kms::manager::KeyManager;
use kms_api::Failure;
use tokio::sync::Semaphore;

use crate::connections::Connections;
use crate::failures;
use crate::idempotency::Idempotency;
use crate::ids::Ids;
use crate::lanes::Lane;
use crate::meter::Meter;
use crate::meter::Rate;
use crate::metrics::Extra;
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::settings::Limits;

/// How often a refusal of someone without a session gets a record of its own: once in a second. The
/// others are counted, and the count is recorded.
const REFUSALS_PER_S: f64 = 1.0;

/// What every request finds.
#[derive(Debug)]
pub(crate) struct App {
    /// The home.
    pub(crate) kms: Arc<KeyManager>,
    /// What everyone has to keep to.
    pub(crate) limits: Limits,
    /// Names of requests.
    pub(crate) ids: Ids,
    /// Counters.
    pub(crate) metrics: Metrics,
    /// Connections.
    pub(crate) connections: Arc<Connections>,
    /// Operations that read and change.
    pub(crate) ordinary: Lane<PrincipalId>,
    /// Uses of keys that take long: RSA, devices, batches.
    pub(crate) heavy: Lane<PrincipalId>,
    /// Logins: each is a run of Argon2.
    pub(crate) logins: Lane<Option<IpAddr>>,
    /// Bytes of larger bodies under way, in KiB.
    pub(crate) bodies: Semaphore,
    /// Answers to requests that may be asked again.
    pub(crate) idempotency: Idempotency,
    requests: Meter<IpAddr>,
    login_rate: Meter<IpAddr>,
    spending: Meter<PrincipalId>,
    refusals: Meter<()>,
    unrecorded: AtomicU64,
    clock_checked: Mutex<Option<(Instant, kms::time::Timestamp)>>,
}

impl App {
    /// For a home, within limits.
    pub(crate) fn new(kms: Arc<KeyManager>, limits: Limits, extra: Extra) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let patience = limits.turn_timeout;
        let per_s = |units: u32| Rate { per_s: units.into(), burst: f64::from(units) * 2.0 };
        let logins = f64::from(limits.logins_per_min);
        Self {
            ids: Ids::new(),
            metrics: Metrics::new(extra),
            connections: Connections::new(limits.connections),
            ordinary: Lane::new(16, limits.waiting, patience),
            heavy: Lane::new(cores * 2, limits.waiting, patience),
            logins: Lane::new(2, 32, Duration::from_secs(20)),
            bodies: Semaphore::new(limits.bodies_bytes >> 10),
            idempotency: Idempotency::default(),
            requests: Meter::new(per_s(limits.requests_per_s)),
            login_rate: Meter::new(Rate { per_s: logins / 60.0, burst: logins }),
            spending: Meter::new(per_s(limits.units_per_s)),
            refusals: Meter::new(Rate { per_s: REFUSALS_PER_S, burst: 60.0 }),
            unrecorded: AtomicU64::new(0),
            clock_checked: Mutex::default(),
            kms,
            limits,
        }
    }

    /// Lets a request in, as far as the place it comes from decides that.
    ///
    /// # Errors
    /// When there are too many from there.
    pub(crate) fn admit(&self, peer: &Peer) -> Result<(), Failure> {
        let Some(address) = peer.address else { return Ok(()) };
        let fits = self.requests.spend(address, 1, Instant::now());
        if fits { Ok(()) } else { Err(self.slow_down("requests")) }
    }

    /// Lets a login in, as far as the place it comes from decides that. The local socket is exempt,
    /// so that nobody keeps the last administrator out.
    ///
    /// # Errors
    /// When there are too many from there.
    pub(crate) fn admit_login(&self, peer: &Peer) -> Result<(), Failure> {
        let Some(address) = peer.address else { return Ok(()) };
        let fits = self.login_rate.spend(address, 1, Instant::now());
        if fits { Ok(()) } else { Err(self.slow_down("logins")) }
    }

    /// Lets a principal spend.
    ///
    /// # Errors
    /// When they have not so much left.
    pub(crate) fn spend(&self, principal: PrincipalId, units: u32) -> Result<(), Failure> {
        let fits = self.spending.spend(principal, units, Instant::now());
        if fits { Ok(()) } else { Err(self.slow_down("spending")) }
    }

    /// Whether a refusal of someone without a session gets a record of its own.
    pub(crate) fn records_refusal(&self) -> bool {
        let recorded = self.refusals.spend((), 1, Instant::now());
        if !recorded {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
        }
        recorded
    }

    /// How many refusals have no record yet; asked for by whoever writes the one record of them.
    pub(crate) fn take_unrecorded(&self) -> u64 {
        self.unrecorded.swap(0, Ordering::Relaxed)
    }

    /// Whether the machine's clock goes as it should: beside one that cannot be set, since last
    /// asked, it neither jumped nor went back by more than a minute.
    pub(crate) fn clock_is_sane(&self) -> bool {
        const TOLERANCE_MICROS: i64 = 60_000_000;
        let (instant, wall) = (Instant::now(), self.kms.clock_now());
        let mut checked = self.clock_checked.lock().unwrap_or_else(PoisonError::into_inner);
        let sane = checked.is_none_or(|(then, shown)| {
            let passed = i64::try_from(instant.duration_since(then).as_micros());
            let expected = shown.micros().saturating_add(passed.unwrap_or(i64::MAX));
            (wall.micros() - expected).abs() <= TOLERANCE_MICROS
        });
        if sane {
            *checked = Some((instant, wall));
        }
        sane && self.kms.clock_is_believed()
    }

    fn slow_down(&self, what: &'static str) -> Failure {
        self.metrics.limited(what);
        failures::too_fast()
    }
}
