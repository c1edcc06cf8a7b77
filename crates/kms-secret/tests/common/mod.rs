//! What several tests share: a part of a test in a process of its own, and a scan of all memory for a secret.

use std::env;
use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::process::Command;
use std::process::Output;

use kms_secret::MemoryKind;
use kms_secret::SecretBytes;
use kms_secret::locked_memory;

const PART: &str = "KMS_SECRET_TEST_PART";

/// The part of the test that this process was started for; `None` in the first process.
pub(crate) fn part() -> Option<String> {
    env::var(PART).ok()
}

/// A process that runs only this test, for this part.
pub(crate) fn process_for(test: &str, part: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--test-threads=1", "--nocapture"]).env(PART, part);
    command
}

/// Runs the work for each part in a process of its own, on the only thread there, and expects it to pass.
pub(crate) fn alone(test: &str, parts: &[&str], work: impl FnOnce(&str)) {
    if let Some(part) = part() {
        return on_the_only_thread(|| work(&part));
    }
    for part in parts {
        let output = process_for(test, part).output().unwrap();
        assert!(output.status.success(), "{part}: {}", text(&output));
    }
}

/// The test harness has a thread of its own, even for a single test; a forked child has only the one that forked.
fn on_the_only_thread(work: impl FnOnce()) {
    // SAFETY: the harness's thread waits and holds no lock. The child ends without returning.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = i32::from(catch_unwind(AssertUnwindSafe(work)).is_err());
        // SAFETY: ends this process, whose other threads do not exist.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above and writes its status to our variable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "status {status:#x}");
}

pub(crate) fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{} {}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// Secret bytes that exist nowhere else.
pub(crate) fn random(len: usize) -> SecretBytes {
    SecretBytes::make(len, |bytes| {
        // SAFETY: the slice is valid for writes over its length.
        let made = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        assert_eq!(made, len as isize);
    })
}

/// The bytes in the opposite order, as numbers lie in memory.
pub(crate) fn reversed(secret: &SecretBytes) -> SecretBytes {
    SecretBytes::make(secret.len(), |bytes| {
        for (to, from) in bytes.iter_mut().zip(secret.expose().iter().rev()) {
            *to = *from;
        }
    })
}

/// Every readable place in this process where the first or the last 16 bytes lie. Memory that nobody can read is fine;
/// where this machine has only readable memory for secrets, that memory (out of dumps, `dd`) is left out.
pub(crate) fn places_of(secret: &SecretBytes) -> Vec<String> {
    const PIECE: usize = 1 << 20;
    const OVERLAP: usize = 64;
    assert!(secret.len() >= 16, "short runs are found by chance");
    let leave_out_undumped = locked_memory().kind != MemoryKind::Secret;
    let memory = File::open("/proc/self/mem").unwrap();
    // Read into memory that the scan itself cannot see.
    let mut piece = SecretBytes::zeroed(PIECE);
    let mut places = Vec::new();
    for region in regions() {
        if leave_out_undumped && region.undumped {
            continue;
        }
        let mut at = region.start;
        while at < region.end {
            let len = PIECE.min(region.end - at);
            let Ok(read) = memory.read_at(&mut piece.expose_mut()[..len], at as u64) else { break };
            let hay = &piece.expose()[..read];
            if contains(hay, &secret.expose()[..16])
                || contains(hay, &secret.expose()[secret.len() - 16..])
            {
                places.push(format!("{:x} {}", at, region.name));
            }
            at +=
                if read > OVERLAP && at + read < region.end { read - OVERLAP } else { read.max(1) };
        }
    }
    places
}

/// Fails if the bytes lie anywhere readable.
#[track_caller]
pub(crate) fn assert_nowhere(what: &str, secret: &SecretBytes) {
    let places = places_of(secret);
    assert!(places.is_empty(), "{what} lies in {places:?}");
}

struct Region {
    start: usize,
    end: usize,
    name: String,
    undumped: bool,
}

fn regions() -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::new();
    for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        let first = line.split(' ').next().unwrap();
        if let Some((start, end)) = first.split_once('-') {
            let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
            // The page of the kernel's own at the top of memory is out of reach of offsets.
            if i64::try_from(end).is_ok() {
                regions.push(Region { start, end, name: line.to_owned(), undumped: false });
            }
        } else if let (Some(flags), Some(region)) =
            (line.strip_prefix("VmFlags:"), regions.last_mut())
        {
            region.undumped = flags.split(' ').any(|flag| flag == "dd");
        }
    }
    regions
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    // SAFETY: both slices are valid for reads over their lengths. No copy of the needle is made.
    let found = unsafe {
        libc::memmem(hay.as_ptr().cast(), hay.len(), needle.as_ptr().cast(), needle.len())
    };
    !found.is_null()
}
