//! A chain of one validator, whose key is in a home of ours.

use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use kms::consensus::Position;
use kms::key::Algorithm;
use kms::key::Purpose;
use kms::manager::FloorStart;
use kms::manager::NewKey;
use kms_formats::comet::ChainId;
use serde_json::Value;
use serde_json::json;

use crate::home;
use crate::shell::Outcome;

/// The label of the consensus key.
pub(crate) const KEY: &str = "val";

/// A chain that has not begun.
pub(crate) struct Chain {
    directory: PathBuf,
    /// The home of the node.
    pub(crate) home: PathBuf,
    /// The home with the key.
    pub(crate) kms: PathBuf,
    id: ChainId,
    /// The validator's address, in upper-case hex digits.
    pub(crate) address_of_key: String,
}

impl Chain {
    /// Makes a node's home without a key, a home of ours with one, and a genesis of that.
    pub(crate) fn begin(directory: &Path, program: &Path, extensions: bool) -> Outcome<Self> {
        Self::begin_at(directory, &directory.join("kms"), (program, extensions))
    }

    /// As [`Self::begin`], with our home at `kms`.
    pub(crate) fn begin_at(
        directory: &Path,
        kms: &Path,
        (program, extensions): (&Path, bool),
    ) -> Outcome<Self> {
        let home = directory.join("node");
        let mut init = Command::new(program);
        let made = init.arg("init").arg("--home").arg(&home).output();
        let made = made.map_err(|error| format!("cometbft does not start: {error}"))?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned());
        }
        for own in ["config/priv_validator_key.json", "data/priv_validator_state.json"] {
            std::fs::remove_file(home.join(own)).map_err(|error| error.to_string())?;
        }
        let id = genesis(&home)?["chain_id"].as_str().unwrap_or_default().to_owned();
        let id: ChainId = id.parse().map_err(|error| format!("{error}"))?;
        let public_key = make_key(kms, &id).map_err(|error| error.to_string())?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &public_key);
        let address = digest.as_ref().get(..20).unwrap_or_default();
        let address_of_key = hex::encode_upper(address);
        write_genesis(&home, (&public_key, &address_of_key), extensions)?;
        configure(&home)?;
        let directory = directory.to_owned();
        Ok(Self { directory, home, kms: kms.to_owned(), id, address_of_key })
    }

    pub(crate) fn id(&self) -> &ChainId {
        &self.id
    }

    /// Where the node is to listen for its signer.
    pub(crate) fn address(&self, transport: &str) -> Outcome<String> {
        if transport == "unix" {
            return Ok(format!("unix://{}", self.directory.join("privval.sock").display()));
        }
        Ok(format!("tcp://127.0.0.1:{}", free_port()?))
    }
}

/// A port that nobody listened at a moment ago.
pub(crate) fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

fn make_key(kms: &Path, chain: &ChainId) -> Result<Vec<u8>, String> {
    home::init(kms)?;
    let (manager, caller) = home::open(kms).map_err(|error| error.to_string())?;
    let new = NewKey { purpose: Purpose::Consensus, ..home::new_key(Algorithm::Ed25519) };
    let label = KEY.parse().map_err(|error| format!("{error}"))?;
    let key = manager.generate_key(&caller, &label, new).map_err(|error| error.to_string())?;
    let start = FloorStart { position: Position::end_of(0), last: None };
    let reason = "a new chain".parse().map_err(|error| format!("{error}"))?;
    let begun = manager.consensus(&caller).begin_state(&key.id.into(), chain, (start, &reason));
    begun.map_err(|error| error.to_string())?;
    manager.close().map_err(|error| error.to_string())?;
    Ok(key.public_key.as_bytes().to_vec())
}

fn genesis(home: &Path) -> Outcome<Value> {
    let path = home.join("config/genesis.json");
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn write_genesis(home: &Path, (public_key, address): (&[u8], &str), extensions: bool) -> Outcome {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let mut genesis = genesis(home)?;
    genesis["validators"] = json!([{
        "address": address,
        "pub_key": { "type": "tendermint/PubKeyEd25519", "value": STANDARD.encode(public_key) },
        "power": "10", "name": "",
    }]);
    if extensions {
        let parameters = &mut genesis["consensus_params"];
        // v0.38 to v0.40 have it with the application, v1 with the features.
        let room = if parameters.get("feature").is_some() { "feature" } else { "abci" };
        parameters[room]["vote_extensions_enable_height"] = json!("1");
    }
    let text = serde_json::to_string_pretty(&genesis).map_err(|error| error.to_string())?;
    std::fs::write(home.join("config/genesis.json"), text).map_err(|error| error.to_string())
}

/// Blocks as fast as they come, and no peers.
fn configure(home: &Path) -> Outcome {
    let path = home.join("config/config.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let set = |name: &str| line.starts_with(&format!("{name} ="));
        if set("timeout_commit") {
            out.push_str("timeout_commit = \"0s\"");
        } else if set("create_empty_blocks_interval") {
            out.push_str("create_empty_blocks_interval = \"0s\"");
        } else if set("double_sign_check_height") {
            out.push_str("double_sign_check_height = 0");
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    std::fs::write(path, out).map_err(|error| error.to_string())
}
