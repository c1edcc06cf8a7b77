//! Running over either end of the memory for secrets kills the process, and forked children do not have it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "this test uses a part of what tests share")]
mod common;

use std::os::unix::process::ExitStatusExt;

use common::part;
use common::process_for;
use common::random;
use common::text;
use kms_secret::SecretBytes;

const PAGE_MULTIPLE: usize = 1 << 20;

#[test]
fn overrun_is_deadly() {
    let Some(part) = part() else {
        for part in ["read past the end", "read before the start", "write past the end"] {
            let output = process_for("overrun_is_deadly", part).output().unwrap();
            assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{part}: {}", text(&output));
        }
        let inside = process_for("overrun_is_deadly", "read the last byte").output().unwrap();
        assert!(inside.status.success(), "{}", text(&inside));
        return;
    };
    let mut secret = SecretBytes::zeroed(PAGE_MULTIPLE);
    let start = secret.expose_mut().as_mut_ptr();
    // SAFETY: none, on purpose: three of these touch a guard page, which must end this process.
    unsafe {
        match part.as_str() {
            "read the last byte" => assert_eq!(start.add(PAGE_MULTIPLE - 1).read_volatile(), 0),
            "read past the end" => assert_eq!(start.add(PAGE_MULTIPLE).read_volatile(), 0),
            "read before the start" => assert_eq!(start.sub(1).read_volatile(), 0),
            "write past the end" => start.add(PAGE_MULTIPLE).write_volatile(1),
            other => panic!("unknown part {other}"),
        }
    }
}

#[test]
fn forked_child_does_not_have_the_secrets() {
    for len in [32, PAGE_MULTIPLE] {
        let secret = random(len);
        // SAFETY: the child only reads one byte and ends, without touching locks or running destructors.
        let child = unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                secret.expose().as_ptr().read_volatile();
                libc::_exit(0);
            }
            child
        };
        assert!(child > 0);
        let mut status = 0;
        // SAFETY: waits for the child made above and writes its status to our variable.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV);
    }
}
