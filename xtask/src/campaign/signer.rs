//! The remote signer of a real node, killed or cut off at any instant: no two different signatures
//! for one height, round and step ever leave, and the chain goes on.
//!
//! A node makes blocks as fast as it can; between it and its signer everything that leaves is
//! written down. The signer is killed (`kill -9`), or the power of the file system with its home is
//! cut, and it is started again. A place that was signed and forgotten would be signed anew with
//! another time, and so with other bytes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use kms::audit::AuditFiles;
use kms::audit::EventType;
use kms::audit::Query;
use kms::audit::VerifyOptions;
use kms::audit::verify_files;
use kms_formats::comet::Step;

use crate::campaign::Plan;
use crate::campaign::Size;
use crate::campaign::Tally;
use crate::campaign::power_cut::Disk;
use crate::campaign::power_cut::FileSystem;
use crate::campaign::skipped;
use crate::home;
use crate::interop::CURRENT;
use crate::interop::chain::Chain;
use crate::interop::node;
use crate::interop::node::Node;
use crate::interop::signer::SignerProcess;
use crate::interop::wire::Left;
use crate::interop::wire::tap;
use crate::shell::Outcome;

/// What ends the signer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Kill,
    Cut(FileSystem),
}

pub(crate) fn run(end: End, plan: Plan) -> Outcome<Option<Tally>> {
    let Some(program) = node::install(CURRENT.version)? else { return Ok(None) };
    let rounds = match (plan.size, end) {
        (Size::Ci, _) => 12,
        (Size::Full, End::Kill) => 1_000,
        (Size::Full, End::Cut(_)) => 5_000,
    };
    let base = tempfile::tempdir().map_err(|error| error.to_string())?;
    let disk = match end {
        End::Kill => None,
        End::Cut(kind) => match Disk::new(kind, base.path(), 400) {
            Ok(disk) => Some(disk),
            Err(reason) => {
                return skipped(&format!("power cuts need root and loop devices: {reason}"));
            }
        },
    };
    let kms = disk.as_ref().map_or(base.path().join("kms"), |disk| disk.mounted.join("kms"));
    let chain = Chain::begin_at(base.path(), &kms, (&program, true))?;
    let (socket, tapped) = (base.path().join("node.sock"), base.path().join("tap.sock"));
    let left = tap(&tapped, &socket)?;
    let address = format!("unix://{}", tapped.display());
    // A node that starts waits three seconds for its signer, so that one dials already.
    let signer = SignerProcess::start(&chain.kms, (&address, chain.id()), CURRENT.dialect)?;
    let mut node = Node::start(&program, &chain, &format!("unix://{}", socket.display()))?;
    node.wait_for_height(1)?;
    signer.kill()?;
    let tally = Tally::default();
    let mut bench = Bench { chain, address, left, seen: 0, waits_ms: Vec::new(), tally };
    for round in plan.from..rounds {
        bench.round(round, &mut node, disk.as_ref())?;
    }
    drop(node);
    bench.tell_waits(end);
    let losses = not_on_record(&bench.chain.kms, &bench.left())?;
    bench.tally.losses.extend(losses);
    Ok(Some(bench.tally))
}

struct Bench {
    chain: Chain,
    address: String,
    left: Arc<Mutex<Left>>,
    /// Places that had been signed before this round.
    seen: usize,
    /// How long each start of the signer was before the next block, in milliseconds.
    waits_ms: Vec<u128>,
    tally: Tally,
}

impl Bench {
    /// Starts the signer, waits until the chain goes on and for a moment more, and ends it.
    fn round(&mut self, round: usize, node: &mut Node, disk: Option<&Disk>) -> Outcome {
        let switch = disk.map(Disk::switch).transpose()?;
        let before = node.height();
        let at = (self.address.as_str(), self.chain.id());
        let signer = SignerProcess::start(&self.chain.kms, at, CURRENT.dialect)?;
        let started = Instant::now();
        node.wait_for_height(before + 1)?;
        self.waits_ms.push(started.elapsed().as_millis());
        // Moments are spread evenly, at steps that share no factor with the work.
        std::thread::sleep(Duration::from_micros((round * 7_919 % 150_000) as u64));
        if let Some(switch) = switch {
            self.left().unplugged = true;
            switch.cut_power()?;
        }
        signer.kill()?;
        if let Some(disk) = disk {
            disk.mount_again()?;
        }
        self.left().unplugged = false;
        let losses = self.conflicts();
        let signed = self.left().count();
        let new = signed - self.seen;
        self.seen = signed;
        self.tally.add(&format!("signer {round}"), new, losses);
        Ok(())
    }

    /// How soon the chain went on: a figure of this machine, not a loss.
    fn tell_waits(&mut self, end: End) {
        self.waits_ms.sort_unstable();
        let at = |part: usize| self.waits_ms.get(self.waits_ms.len() * part / 100);
        let longest = self.waits_ms.last();
        if let (Some(median), Some(most), Some(longest)) = (at(50), at(99), longest) {
            println!(
                "{end:?}: the next block came {median} ms after a start (median), {most} ms (99 of \
                 100), {longest} ms (longest)"
            );
        }
    }

    fn conflicts(&self) -> Vec<String> {
        std::mem::take(&mut self.left().conflicts)
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What left and is not on record, or is wrong with the record itself.
fn not_on_record(home: &Path, left: &Left) -> Outcome<Vec<String>> {
    let fault = |error: kms::manager::Error| error.to_string();
    let (kms, _caller) = home::open(home).map_err(fault)?;
    kms.close().map_err(fault)?; // what a crash cut short is set aside
    let audit = home.join("audit");
    let verified = verify_files(&audit, &VerifyOptions::default());
    let verified = verified.map_err(|error| error.to_string())?;
    let mut losses: Vec<String> =
        verified.errors.iter().map(|error| format!("the log: {error:?}")).collect();
    let files = AuditFiles::at(&audit.join("audit.log")).map_err(|error| error.to_string())?;
    let mut recorded = BTreeSet::new();
    let signed = Query { event: Some(EventType::KeySigned), ..Query::default() };
    let read = files.visit(&signed, |event, _| {
        let detail = |name| event.detail_text(name).map(ToOwned::to_owned);
        if event.success {
            recorded.extend(detail("height").zip(detail("round")).zip(detail("step")));
        }
    });
    read.map_err(|error| error.to_string())?;
    for (height, round, step) in left.places() {
        let step = Step::of_number(step).map_or("none", Step::name).to_owned();
        let place = ((height.to_string(), round.to_string()), step);
        if !recorded.contains(&place) {
            losses.push(format!("{place:?} left and is not on record"));
        }
    }
    Ok(losses)
}
