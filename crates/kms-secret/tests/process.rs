//! A protected process leaves no core, lets nobody trace it, and gains no rights.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "this test uses a part of what tests share")]
mod common;

use std::fs;

use common::alone;
use kms_secret::MemoryKind;
use kms_secret::Protection;
use kms_secret::protect_process;
use rustix::process::DumpableBehavior;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::dumpable_behavior;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

#[test]
fn protected_process_has_closed_every_way_out() {
    alone("protected_process_has_closed_every_way_out", &["protected"], |_| expect_closed());
}

fn expect_closed() {
    let hard = getrlimit(Resource::Memlock).maximum;
    setrlimit(Resource::Memlock, Rlimit { current: Some(1 << 20), maximum: hard }).unwrap();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);

    let report = protect_process();

    assert_eq!(report.shortfalls(), [""; 0]);
    let steps = [
        &report.no_core_files,
        &report.no_tracing,
        &report.no_new_privileges,
        &report.locked_memory_limit,
        &report.crypto_heap,
    ];
    assert!(steps.iter().all(|step| matches!(step, Protection::On)));
    assert_ne!(report.memory.kind, MemoryKind::Plain);
    let zero = Rlimit { current: Some(0), maximum: Some(0) };
    assert_eq!(getrlimit(Resource::Core), zero);
    assert_eq!(getrlimit(Resource::Memlock), Rlimit { current: hard, maximum: hard });
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    assert!(status.lines().any(|line| line == "NoNewPrivs:\t1"));
}
