//! A CometBFT node in a process of its own, and what it tells over its RPC.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::interop::chain::Chain;
use crate::interop::chain::free_port;
use crate::shell::Outcome;
use crate::shell::root;
use crate::shell::which;

/// Longer than any block takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Installs a release of CometBFT with Go, once. `None` where there is no Go, which CI must have.
pub(crate) fn install(version: &str) -> Outcome<Option<PathBuf>> {
    let bin = root().join("target/interop").join(version);
    let program = bin.join("cometbft");
    if program.is_file() {
        return Ok(Some(program));
    }
    if which("go").is_none() {
        let why = "Go is missing: a real node needs it (https://go.dev, 1.22 or newer)";
        if std::env::var_os("CI").is_some() {
            return Err(why.to_owned());
        }
        eprintln!("SKIPPED: {why}");
        return Ok(None);
    }
    eprintln!("== install cometbft {version}");
    let module = format!("github.com/cometbft/cometbft/cmd/cometbft@{version}");
    let mut go = Command::new("go");
    go.args(["install", &module]).env("GOBIN", &bin).env_remove("GOFLAGS");
    let installed = go.output().map_err(|error| format!("go does not start: {error}"))?;
    if !installed.status.success() {
        return Err(String::from_utf8_lossy(&installed.stderr).into_owned());
    }
    Ok(Some(program))
}

/// A running node.
pub(crate) struct Node {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Node {
    /// Starts the node of a chain; it listens for its signer at `address`.
    pub(crate) fn start(program: &Path, chain: &Chain, address: &str) -> Outcome<Self> {
        let port = free_port()?;
        let log = chain.home.join("node.log");
        let file = File::create(&log).map_err(|error| error.to_string())?;
        let errors = file.try_clone().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["node", "--proxy_app=kvstore", "--home"]).arg(&chain.home);
        command.arg(format!("--priv_validator_laddr={address}"));
        command.arg(format!("--rpc.laddr=tcp://127.0.0.1:{port}"));
        command.arg("--p2p.laddr=tcp://127.0.0.1:0");
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().map_err(|error| format!("the node does not start: {error}"))?;
        Ok(Self { child, port, log })
    }

    /// The height of the last block; 0 while there is none to be had.
    pub(crate) fn height(&self) -> i64 {
        let status = self.get("/status").unwrap_or_default();
        let height = &status["result"]["sync_info"]["latest_block_height"];
        height.as_str().and_then(|height| height.parse().ok()).unwrap_or(0)
    }

    /// Waits until a block has this height.
    pub(crate) fn wait_for_height(&mut self, wanted: i64) -> Outcome<i64> {
        let started = Instant::now();
        loop {
            let height = self.height();
            if height >= wanted {
                return Ok(height);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the node ended: {status}\n{}", self.last_words()));
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("height {height} of {wanted}\n{}", self.last_words()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How many of the first commits have a signature of this validator for the block, as the node
    /// itself has checked.
    pub(crate) fn commits_signed_by(&self, address: &str, count: i64) -> Outcome<i64> {
        let mut signed = 0;
        for height in 1..=count {
            let commit = self.get(&format!("/commit?height={height}"))?;
            let signatures = &commit["result"]["signed_header"]["commit"]["signatures"];
            let ours = signatures.as_array().into_iter().flatten().any(|signature| {
                signature["block_id_flag"] == 2
                    && signature["validator_address"] == address
                    && signature["signature"].as_str().is_some_and(|text| text.len() == 88)
            });
            signed += i64::from(ours);
        }
        Ok(signed)
    }

    fn get(&self, path: &str) -> Outcome<Value> {
        let fault = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(fault)?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(fault)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").map_err(fault)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(fault)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(|error| format!("{path}: {error}"))
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
