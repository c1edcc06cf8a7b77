//! Signing over HTTPS, audit durable, sessions, roles and policies on, against a bare handler: see
//! [`super::http_bare`]. The load is `wrk`, the same for both, which take turns.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms::key::Algorithm;
use kms_server::Limits;
use kms_server::Server;
use kms_server::Settings;
use kms_server::TlsSettings;

use super::Row;
use super::http_bare::BareServer;
use super::median;
use super::sign::Bare;
use super::sign::length_of_last_line;
use super::sign::per_second;
use crate::home;
use crate::shell::Outcome;

const ROUNDS: usize = 3;
const CONNECTIONS: [usize; 3] = [1, 16, 64];
const SECONDS: usize = 2;
const MESSAGE: usize = 200;
const BATCH: usize = 100;

pub(super) fn run(print: &mut dyn FnMut(Row)) -> Outcome {
    for algorithm in [Algorithm::Ed25519, Algorithm::P256, Algorithm::Secp256k1] {
        measure(algorithm, print)?;
    }
    Ok(())
}

fn measure(algorithm: Algorithm, print: &mut dyn FnMut(Row)) -> Outcome {
    let directory = tempfile::tempdir().map_err(text)?;
    let dir = directory.path();
    let (certificate, key) = certificate(dir)?;
    let path = dir.join("home");
    home::init(&path)?;
    let (kms, caller) = home::open(&path).map_err(text)?;
    let label = "bench".parse().map_err(text)?;
    kms.generate_key(&caller, &label, home::new_key(algorithm)).map_err(text)?;
    let limits =
        Limits { requests_per_s: u32::MAX / 4, units_per_s: u32::MAX / 4, ..Limits::default() };
    let listen = "127.0.0.1:0".parse().map_err(text)?;
    let tls =
        TlsSettings { listen, certificate: certificate.clone(), key: key.clone(), client_ca: None };
    let settings = Settings { unix: None, tls: Some(tls), limits };
    let signed =
        kms.sign(&caller, &kms::key::KeyRef::Label(label), &[7; MESSAGE], Default::default());
    signed.map_err(text)?;
    let line = length_of_last_line(&path)?;
    let server = Server::listen(kms, settings).map_err(text)?;
    let ours = server.address().ok_or("no address")?;
    let stopper = server.stopper();
    let serving = std::thread::spawn(move || server.run());
    let bare = Arc::new(Bare::new(algorithm, dir, line)?);
    let theirs = BareServer::start(Arc::clone(&bare), (&certificate, &key))?;
    let session = login(ours)?;
    let message = STANDARD.encode([7; MESSAGE]);
    let body = format!("{{\"message\":\"{message}\"}}");
    let script = script(dir, "one", &session, &body)?;
    let (ours_url, theirs_url) =
        (format!("https://{ours}/v1/keys/bench/sign"), format!("https://{}/sign", theirs.address));
    for connections in CONNECTIONS {
        let mut figures = [Vec::new(), Vec::new()];
        let mut tails = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let load = wrk(&ours_url, connections, &script)?;
            figures[0].push(load.per_second);
            tails[0].push(load.p50_us);
            tails[1].push(load.p99_us);
            let load = wrk(&theirs_url, connections, &script)?;
            figures[1].push(load.per_second);
            tails[2].push(load.p50_us);
            tails[3].push(load.p99_us);
        }
        let [ours, theirs] = figures.map(median);
        let [our_p50, our_p99, their_p50, their_p99] = tails.map(median);
        let row = |opponent, ours, theirs, unit| Row {
            bench: "http-sign",
            algorithm: algorithm.to_string(),
            opponent,
            concurrency: connections,
            ours,
            theirs,
            unit,
        };
        print(row("bare axum handler", ours, theirs, "op/s"));
        print(row("bare axum handler, p50", our_p50, their_p50, "us"));
        print(row("bare axum handler, p99", our_p99, their_p99, "us"));
    }
    batch(algorithm, print, (&bare, &session, &ours_url, dir))?;
    stopper.stop();
    serving.join().map_err(|_| "the daemon panicked")?.map_err(text)
}

/// Batches of 100 over HTTPS, against signing and appending in process.
fn batch(
    algorithm: Algorithm,
    print: &mut dyn FnMut(Row),
    (bare, session, url, dir): (&Bare, &str, &str, &Path),
) -> Outcome {
    let message = STANDARD.encode([7; MESSAGE]);
    let items = vec![format!("{{\"message\":\"{message}\"}}"); BATCH].join(",");
    let script = script(dir, "batch", session, &format!("{{\"items\":[{items}]}}"))?;
    let message = [7; MESSAGE];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(wrk(&format!("{url}-batch"), 16, &script)?.per_second * BATCH as f64);
        theirs.push(per_second(64, &|| bare.sign_and_append(&message)));
    }
    print(Row {
        bench: "http-sign",
        algorithm: algorithm.to_string(),
        opponent: "bare sign-and-append, in batches of 100",
        concurrency: 16,
        ours: median(ours),
        theirs: median(theirs),
        unit: "op/s",
    });
    Ok(())
}

struct Load {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

/// `wrk`; every answer is to be a 200.
fn wrk(url: &str, connections: usize, script: &Path) -> Outcome<Load> {
    let output = Command::new("wrk")
        .args(["-t1", "--latency", &format!("-c{connections}"), &format!("-d{SECONDS}s"), "-s"])
        .arg(script)
        .arg(url)
        .output()
        .map_err(|error| format!("wrk (Debian package wrk): {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout);
    if told.contains("Non-2xx") || told.contains("Socket errors") || !output.status.success() {
        return Err(format!("{url}: {told}{}", String::from_utf8_lossy(&output.stderr)));
    }
    let word = |start: &str| {
        let line = told.lines().map(str::trim).find(|line| line.starts_with(start));
        line.and_then(|line| line.split_whitespace().last()).map(str::to_owned)
    };
    let figure =
        |start: &str| word(start).ok_or_else(|| format!("wrk did not tell {start}: {told}"));
    let per_second = figure("Requests/sec:")?.parse().map_err(text)?;
    Ok(Load { per_second, p50_us: micros(&figure("50%")?)?, p99_us: micros(&figure("99%")?)? })
}

fn micros(shown: &str) -> Outcome<f64> {
    let digits = shown.trim_end_matches(char::is_alphabetic);
    let number: f64 = digits.parse().map_err(text)?;
    let unit = shown.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    match unit {
        "us" => Ok(number),
        "ms" => Ok(number * 1e3),
        "s" => Ok(number * 1e6),
        other => Err(format!("wrk measures in {other}?")),
    }
}

fn script(dir: &Path, name: &str, session: &str, body: &str) -> Outcome<PathBuf> {
    let path = dir.join(format!("{name}.lua"));
    let text_of_script = format!(
        "wrk.method = \"POST\"\nwrk.body = [[{body}]]\n\
         wrk.headers[\"content-type\"] = \"application/json\"\n\
         wrk.headers[\"authorization\"] = \"Bearer {session}\"\n"
    );
    std::fs::write(&path, text_of_script).map_err(text)?;
    Ok(path)
}

/// A session from where the load comes from.
fn login(address: std::net::SocketAddr) -> Outcome<String> {
    let body = format!("{{\"passphrase\":\"{}\",\"any_agent\":true}}", home::PASSPHRASE);
    let output = Command::new("curl")
        .args(["-sk", "-H", "content-type: application/json", "-d", &body])
        .arg(format!("https://{address}/v1/sessions"))
        .output()
        .map_err(|error| format!("curl: {error}"))?;
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(text)?;
    let session = answer.get("session").and_then(serde_json::Value::as_str);
    session.map(str::to_owned).ok_or_else(|| format!("no session: {answer}"))
}

/// A certificate for this machine, as OpenSSL makes it.
fn certificate(dir: &Path) -> Outcome<(PathBuf, PathBuf)> {
    let (certificate, key) = (dir.join("server.pem"), dir.join("server.key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .map_err(|error| format!("openssl: {error}"))?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    Ok((certificate, key))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
