//! Where the system refuses locked memory, weaker memory is used and said to be.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[expect(dead_code, reason = "this test uses a part of what tests share")]
mod common;

use std::process::Command;

use common::alone;
use common::random;
use kms_secret::MemoryKind;
use kms_secret::SecretBytes;
use kms_secret::locked_memory;
use kms_secret::protect_process;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::setrlimit;

fn limit(resource: Resource, value: u64) {
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).unwrap();
}

/// Gives up root's right to lock without limit; a plain user has nothing to give up.
fn become_plain_user() {
    // SAFETY: changes the identity of this process, which has one thread and was started for that.
    unsafe {
        if libc::getuid() == 0 {
            assert_eq!(libc::setgid(65_534), 0);
            assert_eq!(libc::setuid(65_534), 0);
        }
    }
}

/// Secrets work as ever, small and big.
fn use_secrets() {
    let secrets: Vec<SecretBytes> = [1, 32, 5000, 100_000].map(random).into();
    for secret in &secrets {
        assert_eq!(SecretBytes::from_hex(secret.to_hex().expose()).unwrap(), *secret);
    }
}

#[test]
fn refused_memory_is_replaced_by_weaker_and_reported() {
    let parts = [
        "no locked memory at all",
        "locked memory for the first chunk only",
        "no new descriptors",
        "no files of any length",
        "eight mebibytes",
    ];
    alone("refused_memory_is_replaced_by_weaker_and_reported", &parts, expect_weaker);
}

fn expect_weaker(part: &str) {
    match part {
        "no locked memory at all" => {
            limit(Resource::Memlock, 0);
            become_plain_user();
            use_secrets();
            let memory = locked_memory();
            assert_eq!(memory.kind, MemoryKind::Plain);
            assert_eq!(memory.unlocked_bytes, memory.capacity_bytes);
            let report = protect_process();
            assert!(report.shortfalls().iter().any(|line| line.contains("may be swapped")));
        }
        "locked memory for the first chunk only" => {
            limit(Resource::Memlock, 400 * 1024);
            become_plain_user();
            use_secrets();
            assert_eq!((locked_memory().unlocked_bytes, locked_memory().kind), best_kind());
            let big = random(1 << 20);
            assert_eq!(locked_memory().kind, MemoryKind::Plain);
            assert_eq!(locked_memory().unlocked_bytes, 1 << 20);
            drop(big);
            assert_eq!((locked_memory().unlocked_bytes, locked_memory().kind), best_kind());
        }
        // memfd_secret needs a descriptor and a file length; mlock needs neither.
        "no new descriptors" => {
            limit(Resource::Nofile, 0);
            use_secrets();
            assert_eq!(locked_memory().kind, MemoryKind::Locked);
            assert_eq!(locked_memory().unlocked_bytes, 0);
        }
        "no files of any length" => {
            limit(Resource::Fsize, 0);
            use_secrets();
            assert_eq!(locked_memory().kind, MemoryKind::Locked);
        }
        "eight mebibytes" => {
            limit(Resource::Memlock, 8 << 20);
            become_plain_user();
            let secrets: Vec<SecretBytes> = (0..7000).map(|_| SecretBytes::zeroed(1024)).collect();
            assert_eq!((locked_memory().unlocked_bytes, locked_memory().kind), best_kind());
            assert_eq!(secrets.len(), 7000);
        }
        other => panic!("unknown part {other}"),
    }
}

/// No unlocked bytes and the best kind this machine has: that of a process without such limits.
fn best_kind() -> (usize, MemoryKind) {
    let probe = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kind_without_limits", "--nocapture"])
        .output();
    match probe {
        Ok(output) if common::text(&output).contains("memfd_secret") => (0, MemoryKind::Secret),
        _ => (0, MemoryKind::Locked),
    }
}

#[test]
fn kind_without_limits() {
    let kind = locked_memory().kind;
    assert_ne!(kind, MemoryKind::Plain);
    println!("{kind}");
}
