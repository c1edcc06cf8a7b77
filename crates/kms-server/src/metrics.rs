//! Counters for Prometheus: one prefix, base units, no text from outside in a label.

use std::time::Duration;

use kms::manager::KeyManager;
use prometheus::Encoder;
use prometheus::GaugeVec;
use prometheus::Histogram;
use prometheus::HistogramOpts;
use prometheus::IntCounterVec;
use prometheus::IntGauge;
use prometheus::IntGaugeVec;
use prometheus::Opts;
use prometheus::Registry;
use prometheus::TextEncoder;
use prometheus::core::Collector;

/// Most keys with series of their own; with more, the counts by state must do.
const KEYS: usize = 1000;

/// From 50 µs to 3 s.
const BUCKETS: [f64; 15] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_4, 0.000_8, 0.001_6, 0.003_2, 0.006_4, 0.012_8, 0.025, 0.05,
    0.1, 0.3, 1.0, 3.0,
];

/// What runs beside the server in this process, and counts for itself.
#[derive(Default)]
pub(crate) struct Extra(Option<Box<dyn Fn() -> String + Send + Sync>>);

impl Extra {
    pub(crate) fn of(text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(text)))
    }

    fn text(&self) -> String {
        self.0.as_ref().map(|text| text()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extra")
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    extra: Extra,
    requests: IntCounterVec,
    limited: IntCounterVec,
    signed: IntCounterVec,
    sign_duration: Histogram,
    request_duration: Histogram,
    last_signature: IntGauge,
}

impl Metrics {
    /// None counted yet.
    pub(crate) fn new(extra: Extra) -> Self {
        let registry = Registry::new();
        let requests = enter(
            &registry,
            counters("requests_total", "Requests answered.", &["operation", "status"]),
        );
        let limited =
            enter(&registry, counters("rate_limited_total", "Requests slowed down.", &["limit"]));
        let signed = enter(
            &registry,
            counters("sign_requests_total", "Messages asked to be signed.", &["outcome"]),
        );
        let sign_duration = enter(
            &registry,
            histogram("sign_duration_seconds", "From the request to its durable record."),
        );
        let request_duration =
            enter(&registry, histogram("request_duration_seconds", "Time to answer."));
        let last = IntGauge::new(
            "virtengine_kms_last_signature_timestamp_seconds",
            "When something was last signed.",
        );
        let last_signature = enter(&registry, last.expect(GOOD_NAME));
        Self {
            extra,
            registry,
            requests,
            limited,
            signed,
            sign_duration,
            request_duration,
            last_signature,
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, operation: &'static str, status: u16, took: Duration) {
        self.requests.with_label_values(&[operation, &status.to_string()]).inc();
        self.request_duration.observe(took.as_secs_f64());
    }

    /// A use of a key came to its end.
    pub(crate) fn used(&self, ok: bool, items: u32, took: Duration) {
        let outcome = if ok { "ok" } else { "refused" };
        self.signed.with_label_values(&[outcome]).inc_by(items.into());
        if ok {
            self.sign_duration.observe(took.as_secs_f64());
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
            self.last_signature.set(now);
        }
    }

    /// Someone was slowed down.
    pub(crate) fn limited(&self, limit: &'static str) {
        self.limited.with_label_values(&[limit]).inc();
    }

    /// Everything as text (version 0.0.4 of the format).
    pub(crate) fn text(&self, kms: &KeyManager, connections: usize, busy: usize) -> Vec<u8> {
        let mut families = self.registry.gather();
        families.extend(of_home(kms));
        families.extend(of_server(connections, busy));
        let mut text = Vec::new();
        // A gauge that cannot be written would be a name that is wrong; the rest is still told.
        _ = TextEncoder::new().encode(&families, &mut text);
        text.extend_from_slice(self.extra.text().as_bytes());
        text
    }
}

const GOOD_NAME: &str = "the names of metrics are good and each is used once";

fn enter<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect(GOOD_NAME);
    collector
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("virtengine_kms_{name}"), help)
}

fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(opts(name, help), labels).expect(GOOD_NAME)
}

fn histogram(name: &str, help: &str) -> Histogram {
    let opts = HistogramOpts::from(opts(name, help)).buckets(BUCKETS.to_vec());
    Histogram::with_opts(opts).expect(GOOD_NAME)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    IntGaugeVec::new(opts(name, help), labels).expect(GOOD_NAME)
}

fn moments(name: &str, help: &str) -> GaugeVec {
    GaugeVec::new(opts(name, help), &["key"]).expect(GOOD_NAME)
}

/// What the home says of itself at this moment.
fn of_home(kms: &KeyManager) -> Vec<prometheus::proto::MetricFamily> {
    let status = kms.status();
    let plain = gauges("home", "The state of the home.", &["what"]);
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    plain.with_label_values(&["unlocked"]).set((!status.sealed).into());
    plain.with_label_values(&["audit_writable"]).set(status.audit_writable.into());
    plain.with_label_values(&["development"]).set(status.development.into());
    let head = gauges("audit_head_sequence", "Number of records in the audit log.", &[]);
    head.with_label_values(&[] as &[&str]).set(i64::try_from(status.audit_size).unwrap_or(0));
    let sessions = gauges("sessions_active", "Sessions that live.", &[]);
    sessions.with_label_values(&[] as &[&str]).set(whole(kms.session_count()));
    let memory = gauges("locked_memory_bytes", "Locked memory in use.", &[]);
    memory.with_label_values(&[] as &[&str]).set(whole(status.locked_memory_bytes));
    let keys = gauges("keys", "Keys in each state.", &["state"]);
    for (state, count) in &status.keys {
        keys.with_label_values(&[*state]).set(i64::try_from(*count).unwrap_or(i64::MAX));
    }
    let build = gauges("build_info", "The program.", &["version"]);
    build.with_label_values(&[status.version]).set(1);
    let mut families = of_keys(kms);
    for gauge in [plain, head, sessions, memory, keys, build] {
        families.extend(gauge.collect());
    }
    families
}

/// What each key says of itself, by id: names stay inside.
fn of_keys(kms: &KeyManager) -> Vec<prometheus::proto::MetricFamily> {
    let states = gauges("key_state", "1 for the state a key is in.", &["key", "state"]);
    let due = moments("key_rotation_due_timestamp_seconds", "When a rotation is due.");
    let expires = moments("key_expires_timestamp_seconds", "When a key expires.");
    for key in kms.key_gauges(KEYS) {
        let id = key.id.to_string();
        states.with_label_values(&[&*id, key.state.name()]).set(1);
        let seconds = |at: kms::time::Timestamp| at.micros() as f64 / 1e6;
        if let Some(at) = key.rotate_by {
            due.with_label_values(&[&id]).set(seconds(at));
        }
        if let Some(at) = key.expires_at {
            expires.with_label_values(&[&id]).set(seconds(at));
        }
    }
    let mut families = states.collect();
    families.extend(due.collect());
    families.extend(expires.collect());
    families
}

fn of_server(connections: usize, busy: usize) -> Vec<prometheus::proto::MetricFamily> {
    let server = gauges("server", "Connections, and requests on threads.", &["what"]);
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    server.with_label_values(&["connections"]).set(whole(connections));
    server.with_label_values(&["waiting"]).set(whole(busy));
    server.collect()
}
