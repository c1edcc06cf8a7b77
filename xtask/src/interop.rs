//! The remote signer and real nodes: every block of a chain signed by us.
//!
//! For each release of CometBFT a chain of one validator is begun whose key only this product has;
//! its node has no key of its own. The chain goes on only where the node takes what we sign.

#![expect(clippy::indexing_slicing, reason = "what a JSON value lacks is null")]

pub(crate) mod chain;
pub(crate) mod node;
pub(crate) mod signer;
pub(crate) mod wire;

use std::path::Path;

use crate::interop::chain::Chain;
use crate::interop::node::Node;
use crate::interop::signer::SignerProcess;
use crate::shell::Outcome;

/// Blocks that are waited for.
const BLOCKS: i64 = 200;

/// A release, its dialect, and whether its votes have extensions.
pub(crate) struct Release {
    pub(crate) version: &'static str,
    pub(crate) dialect: &'static str,
    pub(crate) extensions: bool,
}

const RELEASES: [Release; 5] = [
    Release { version: "v0.37.18", dialect: "v0.37", extensions: false },
    Release { version: "v0.38.25", dialect: "v0.38", extensions: true },
    Release { version: "v0.39.4", dialect: "v0.39", extensions: true },
    Release { version: "v0.40.0", dialect: "v0.40", extensions: true },
    Release { version: "v1.0.1", dialect: "v1.0", extensions: true },
];

/// The release that CI runs, which most chains do.
pub(crate) const CURRENT: Release =
    Release { version: "v0.38.25", dialect: "v0.38", extensions: true };

/// Runs each release (with `--ci` one of them), over each transport, with and without extensions.
pub(crate) fn main(words: &[&str]) -> Outcome {
    let is_ci = words.contains(&"--ci");
    let named = |release: &&Release| {
        let named: Vec<_> = words.iter().filter(|word| !word.starts_with("--")).collect();
        named.is_empty() || named.contains(&&release.version)
    };
    let releases = RELEASES.iter().filter(named);
    for release in releases.filter(|release| !is_ci || release.version == CURRENT.version) {
        let Some(program) = node::install(release.version)? else { continue };
        for transport in ["unix", "tcp"] {
            for extensions in [false, true] {
                // In CI each once: without over unix, with over tcp.
                let is_other = is_ci && extensions == (transport == "unix");
                if !is_other && (release.extensions || !extensions) {
                    run(release, &program, (transport, extensions))?;
                }
            }
        }
    }
    Ok(())
}

fn run(release: &Release, program: &Path, (transport, extensions): (&str, bool)) -> Outcome {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let chain = Chain::begin(directory.path(), program, extensions)?;
    let address = chain.address(transport)?;
    // A node that starts waits three seconds for its signer, so that one dials already.
    let _signer = SignerProcess::start(&chain.kms, (&address, chain.id()), release.dialect)?;
    let mut node = Node::start(program, &chain, &address)?;
    let height = node.wait_for_height(BLOCKS)?;
    let signed = node.commits_signed_by(&chain.address_of_key, BLOCKS)?;
    let with = if extensions { "with" } else { "without" };
    println!(
        "{} over {transport}, {with} vote extensions: height {height}, {signed} of {BLOCKS} commits \
         signed by us",
        release.version
    );
    if signed < BLOCKS {
        return Err(format!("{}: {signed} of {BLOCKS} commits", release.version));
    }
    Ok(())
}
