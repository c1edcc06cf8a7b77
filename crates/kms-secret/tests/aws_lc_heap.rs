//! The C cryptography library keeps parsed private keys in the memory for secrets, once the process is protected.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::hint::black_box;
use std::io::Write;
use std::io::stderr;
use std::ops::Range;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use aws_lc_rs::signature::RsaKeyPair;
use common::alone;
use common::assert_nowhere;
use common::part;
use common::places_of;
use common::process_for;
use common::random;
use common::reversed;
use kms_secret::Protection;
use kms_secret::ProtectionError;
use kms_secret::SecretBytes;
use kms_secret::burn_stack;
use kms_secret::locked_memory;
use kms_secret::protect_process;
use kms_secret::read_secret;
use rustix::process::DumpableBehavior;
use rustix::process::set_dumpable_behavior;

const MAKER: &str = "maker_of_known_keys";

/// Protects this process, which has one thread, but lets it look at its own memory.
fn protect() {
    let report = protect_process();
    assert!(matches!(report.crypto_heap, Protection::On), "{:?}", report.crypto_heap);
    set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
}

/// A PKCS#8 document made by another process, so that this one knows it only from locked memory.
fn made_elsewhere(kind: &str) -> SecretBytes {
    let mut command = process_for(MAKER, kind);
    let mut maker = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let der = read_secret(maker.stderr.take().unwrap(), 10_000).unwrap();
    assert!(maker.wait().unwrap().success());
    der
}

#[test]
fn maker_of_known_keys() {
    let Some(kind) = part() else { return };
    let der = match kind.as_str() {
        "RSA" => {
            RsaKeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap().as_ref().to_vec()
        }
        "P-256" => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .and_then(|pair| pair.to_pkcs8v1())
            .unwrap()
            .as_ref()
            .to_vec(),
        other => panic!("unknown kind {other}"),
    };
    stderr().write_all(&der).unwrap();
}

/// Where the values of the DER elements without parts lie; octet strings longer than a scalar are looked into.
fn values(der: &[u8], base: usize, found: &mut Vec<(u8, Range<usize>)>) {
    let mut at = 0;
    while at < der.len() {
        let (tag, first) = (der[at], usize::from(der[at + 1]));
        let extra = first.saturating_sub(0x80);
        let long =
            der[at + 2..at + 2 + extra].iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        let start = at + 2 + extra;
        let end = start + if extra == 0 { first } else { long };
        if tag == 0x30 || (tag == 0x04 && end - start > 40) {
            values(&der[start..end], base + start, found);
        } else {
            found.push((tag, base + start..base + end));
        }
        at = end;
    }
}

#[track_caller]
fn assert_number_nowhere(what: &str, number: &[u8]) {
    let number = SecretBytes::copy_from(number.strip_prefix(&[0]).unwrap_or(number));
    assert_nowhere(what, &number);
    assert_nowhere(&format!("{what} as it lies in memory"), &reversed(&number));
}

#[inline(never)]
fn ed25519_pair(seed: &SecretBytes) -> Ed25519KeyPair {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).unwrap();
    black_box(pair.sign(b"message"));
    pair
}

#[inline(never)]
fn rsa_pair(der: &SecretBytes) -> RsaKeyPair {
    let pair = RsaKeyPair::from_pkcs8(der.expose()).unwrap();
    let mut signature = vec![0; 256];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"message", &mut signature).unwrap();
    black_box(signature);
    pair
}

#[inline(never)]
fn p256_pair(der: &SecretBytes) -> EcdsaKeyPair {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.expose()).unwrap();
    black_box(pair.sign(&SystemRandom::new(), b"message").unwrap());
    pair
}

#[test]
fn parsed_private_keys_lie_in_locked_memory_only() {
    let parts = ["Ed25519", "Ed25519 unprotected", "RSA", "RSA unprotected", "P-256"];
    alone("parsed_private_keys_lie_in_locked_memory_only", &parts, expect_locked);
}

fn expect_locked(part: &str) {
    if !part.ends_with("unprotected") {
        protect();
    }
    match part {
        "Ed25519" => {
            let seed = random(32);
            let pair = ed25519_pair(&seed);
            burn_stack();
            assert_nowhere("Ed25519 seed in use", &seed);
            drop(pair);
            burn_stack();
            assert_nowhere("Ed25519 seed after use", &seed);
        }
        "Ed25519 unprotected" => {
            let seed = random(32);
            let pair = ed25519_pair(&seed);
            assert_ne!(places_of(&seed), [""; 0], "the scan would miss an unprotected key");
            drop(pair);
        }
        "RSA" => {
            let der = made_elsewhere("RSA");
            let pair = rsa_pair(&der);
            burn_stack();
            let mut found = Vec::new();
            values(der.expose(), 0, &mut found);
            let numbers: Vec<_> = found.into_iter().filter(|(tag, _)| *tag == 0x02).collect();
            // Version of PKCS#8; version, n and e of RFC 8017 appendix A.1.2; and then what is secret.
            let names = ["d", "p", "q", "dP", "dQ", "qInv"];
            assert_eq!(numbers.len(), 4 + names.len());
            for (name, (_, range)) in names.iter().zip(&numbers[4..]) {
                assert_number_nowhere(name, &der.expose()[range.clone()]);
            }
            drop(pair);
        }
        "RSA unprotected" => {
            let der = made_elsewhere("RSA");
            let pair = rsa_pair(&der);
            let mut found = Vec::new();
            values(der.expose(), 0, &mut found);
            let p = found.into_iter().filter(|(tag, _)| *tag == 0x02).nth(5).unwrap().1;
            let p = SecretBytes::copy_from(&der.expose()[p]);
            assert_ne!(places_of(&reversed(&p)), [""; 0], "the scan would miss an unprotected key");
            drop(pair);
        }
        "P-256" => {
            let der = made_elsewhere("P-256");
            let pair = p256_pair(&der);
            burn_stack();
            let mut found = Vec::new();
            values(der.expose(), 0, &mut found);
            let scalar = found.into_iter().find(|(tag, _)| *tag == 0x04).unwrap().1;
            assert_eq!(scalar.len(), 32);
            assert_number_nowhere("P-256 scalar", &der.expose()[scalar]);
            drop(pair);
        }
        other => panic!("unknown part {other}"),
    }
}

/// What an allocator may write into a block that is free.
const LINK_BYTES: usize = 16;

/// A block of the library's with a copy of the secret in it.
fn block_with(secret: &SecretBytes) -> *mut u8 {
    // SAFETY: the block has the length of the secret and is not null.
    unsafe {
        let block = aws_lc_sys::OPENSSL_malloc(secret.len()).cast::<u8>();
        assert!(!block.is_null());
        block.copy_from_nonoverlapping(secret.expose().as_ptr(), secret.len());
        block
    }
}

/// Whether the block starts with these bytes.
fn starts_with(block: *const u8, expected: &[u8]) -> bool {
    // SAFETY: the callers pass a live block at least that long.
    unsafe { std::slice::from_raw_parts(block, expected.len()) == expected }
}

#[test]
fn blocks_from_before_and_after_are_moved_freed_and_wiped() {
    let parts = ["from before", "from after"];
    let test = "blocks_from_before_and_after_are_moved_freed_and_wiped";
    alone(test, &parts, |part| expect_wiped(part == "from before"));
}

fn expect_wiped(before: bool) {
    let (moved, freed) = (random(100), random(100));
    if !before {
        protect();
    }
    let [moving, freeing] = [&moved, &freed].map(block_with);
    if before {
        protect();
        assert_eq!(places_of(&moved).len(), 1, "the library's own block is readable");
        assert_eq!(places_of(&freed).len(), 1);
    }
    let in_use = locked_memory().in_use_bytes;
    // SAFETY: each block is live until it is moved or freed, and the lengths read are those asked for. The memory of a
    // block just freed is still mapped and nobody else's: this process has one thread, and allocates only later.
    unsafe {
        aws_lc_sys::OPENSSL_free(freeing.cast());
        assert!(starts_with(freeing.add(LINK_BYTES), &[0; 100 - LINK_BYTES]), "not wiped");
        let longer = aws_lc_sys::OPENSSL_realloc(moving.cast(), 5000).cast::<u8>();
        assert!(starts_with(moving.add(LINK_BYTES), &[0; 100 - LINK_BYTES]), "not wiped");
        assert!(starts_with(longer, moved.expose()));
        assert_nowhere("moved block", &moved);
        assert_nowhere("freed block", &freed);
        let same = aws_lc_sys::OPENSSL_realloc(longer.cast(), 4200).cast::<u8>();
        assert_eq!(same, longer);
        let shorter = aws_lc_sys::OPENSSL_realloc(same.cast(), 40).cast::<u8>();
        assert!(starts_with(shorter, &moved.expose()[..40]));
        let large = aws_lc_sys::OPENSSL_realloc(shorter.cast(), 200_000).cast::<u8>();
        assert!(starts_with(large, &[&moved.expose()[..40], &[0; 100]].concat()));
        aws_lc_sys::OPENSSL_free(large.cast());
        let empty = aws_lc_sys::OPENSSL_malloc(0);
        assert!(!empty.is_null());
        aws_lc_sys::OPENSSL_free(aws_lc_sys::OPENSSL_realloc(empty, 10));
        aws_lc_sys::OPENSSL_free(std::ptr::null_mut());
        assert!(aws_lc_sys::OPENSSL_malloc(usize::MAX / 2).is_null());
    }
    let blocks_given_back = if before { 0 } else { 2 * 128 };
    assert_eq!(locked_memory().in_use_bytes, in_use - blocks_given_back);
}

#[test]
fn block_kept_in_place_is_wiped_behind_its_new_end() {
    let test = "block_kept_in_place_is_wiped_behind_its_new_end";
    alone(test, &["protected"], |_| expect_wiped_tail());
}

fn expect_wiped_tail() {
    protect();
    let secret = random(128);
    let block = block_with(&secret);
    // SAFETY: the block has 128 bytes and stays where it is, which is checked; its whole length is still ours.
    unsafe {
        assert_eq!(aws_lc_sys::OPENSSL_realloc(block.cast(), 60).cast::<u8>(), block);
        assert!(starts_with(block, &[&secret.expose()[..60], &[0; 68]].concat()));
        aws_lc_sys::OPENSSL_free(block.cast());
    }
}

#[test]
fn threads_come_and_go_with_blocks_of_the_library() {
    let test = "threads_come_and_go_with_blocks_of_the_library";
    alone(test, &["protected"], |_| come_and_go());
}

fn come_and_go() {
    protect();
    let sign = || {
        for _ in 0..20 {
            let seed = random(32);
            let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).unwrap();
            let mut bytes = [0; 32];
            aws_lc_rs::rand::fill(&mut bytes).unwrap();
            black_box(pair.sign(&bytes));
        }
    };
    for _ in 0..5 {
        thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(sign)));
        });
    }
    sign();
}

#[test]
fn protection_that_comes_twice_stays_and_that_comes_late_is_refused() {
    let test = "protection_that_comes_twice_stays_and_that_comes_late_is_refused";
    alone(test, &["twice", "late"], twice_or_late);
}

fn twice_or_late(part: &str) {
    if part == "twice" {
        protect();
        return protect();
    }
    let (stop, wait) = channel::<()>();
    let other = thread::spawn(move || wait.recv().is_err());
    let report = protect_process();
    let Protection::Refused(error) = &report.crypto_heap else { panic!("another thread runs") };
    assert!(matches!(error, ProtectionError::OtherThreads { threads: 2 }));
    assert_eq!(report.shortfalls().len(), 1, "{:?}", report.shortfalls());
    drop(stop);
    assert!(other.join().unwrap());
}
