//! Secrets in our types are found nowhere in readable memory, whatever is done with them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "this test uses a part of what tests share")]
mod common;

use std::fs;
use std::fs::File;
use std::hint::black_box;
use std::io::pipe;

use common::assert_nowhere;
use common::places_of;
use common::random;
use common::reversed;
use kms_secret::Locked;
use kms_secret::MemoryKind;
use kms_secret::SecretBytes;
use kms_secret::burn_stack;
use kms_secret::locked_memory;
use kms_secret::read_secret;
use kms_secret::read_secret_file;
use kms_secret::read_secret_line;
use kms_secret::write_secret;

/// Runs what leaves a trace, if it does, below this frame.
#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[test]
fn scan_finds_a_copy_on_the_heap_and_one_on_the_stack() {
    let secret = random(32);
    assert_nowhere("untouched secret", &secret);
    let heap = black_box(secret.expose().to_vec());
    assert_eq!(places_of(&secret).len(), 1);
    drop(heap);
    let secret = random(32);
    let mut stack = [0u8; 32];
    stack.copy_from_slice(secret.expose());
    black_box(&mut stack);
    assert_eq!(places_of(&secret).len(), 1);
    stack.fill(0);
    black_box(&mut stack);
    assert_nowhere("wiped copy", &secret);
}

#[test]
fn taken_source_is_gone() {
    let secret = random(48);
    let mut source = vec![0u8; 48];
    source.copy_from_slice(secret.expose());
    let taken = SecretBytes::take(&mut source);
    assert_eq!(taken, secret);
    assert_nowhere("taken secret", &secret);
    drop(taken);
    assert_nowhere("taken and dropped secret", &secret);
}

#[test]
fn copied_truncated_and_dropped_secrets_leave_nothing() {
    for len in [16, 32, 1000, 70_000] {
        let secret = random(len);
        let mut copy = SecretBytes::copy_from(secret.expose());
        assert_nowhere("copied secret", &secret);
        copy.truncate(len / 2);
        assert_nowhere("truncated secret", &secret);
        drop(copy);
        assert_nowhere("dropped secret", &secret);
    }
}

#[test]
fn comparing_and_printing_leave_nothing() {
    let secret = random(64);
    let copy = SecretBytes::copy_from(secret.expose());
    assert!(below(|| copy == secret));
    assert_eq!(format!("{copy:?} {secret:#?}").len(), 2 * "SecretBytes(<64 bytes>)".len() + 1);
    assert_nowhere("compared and printed secret", &secret);
}

#[test]
fn base64_and_hex_both_ways_leave_nothing() {
    let secret = random(96);
    let (base64, hex) = (secret.to_base64(), secret.to_hex());
    assert_eq!(SecretBytes::from_base64(base64.expose()).unwrap(), secret);
    assert_eq!(SecretBytes::from_hex(hex.expose()).unwrap(), secret);
    for (what, bytes) in [("secret", &secret), ("base64", &base64), ("hexadecimal", &hex)] {
        assert_nowhere(what, bytes);
    }
}

#[test]
fn secret_through_a_pipe_leaves_nothing() {
    for len in [32, 5000, 40_000] {
        let secret = random(len);
        let (reader, writer) = pipe().unwrap();
        write_secret(&writer, &secret).unwrap();
        drop(writer);
        assert_eq!(read_secret(reader, len).unwrap(), secret);
        assert_nowhere("secret through a pipe", &secret);
    }
}

#[test]
fn line_from_a_pipe_leaves_nothing() {
    let secret = random(100).to_hex();
    let (reader, writer) = pipe().unwrap();
    write_secret(&writer, &secret).unwrap();
    write_secret(&writer, &SecretBytes::copy_from(b"\nnext")).unwrap();
    assert_eq!(read_secret_line(&reader, 200).unwrap(), secret);
    assert_nowhere("line from a pipe", &secret);
}

#[test]
fn secret_in_a_file_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let secret = random(100).to_base64();
    write_secret(File::create(&path).unwrap(), &secret).unwrap();
    assert_eq!(read_secret_file(&path, 200).unwrap().0, secret);
    assert_nowhere("secret in a file", &secret);
}

#[test]
fn refused_input_leaves_nothing() {
    let secret = random(100).to_hex();
    let (reader, writer) = pipe().unwrap();
    write_secret(&writer, &secret).unwrap();
    drop(writer);
    assert!(read_secret(reader, 150).is_err());
    assert!(SecretBytes::from_base64(&secret.expose()[1..]).is_none());
    assert!(SecretBytes::from_hex(&secret.expose()[1..]).is_none());
    assert_nowhere("refused input", &secret);
}

#[test]
fn value_made_in_locked_memory_leaves_nothing() {
    let secret = random(64);
    let make = || -> [u8; 64] { secret.expose().try_into().unwrap() };
    let locked = Locked::make(make);
    assert_eq!(locked.as_slice(), secret.expose());
    assert_nowhere("value made in locked memory", &secret);
    drop(locked);
    assert_nowhere("value dropped in locked memory", &secret);
}

#[test]
fn value_moved_into_locked_memory_leaves_nothing_below_the_caller() {
    let secret = random(64);
    let locked = below(|| Locked::<[u8; 64]>::new(secret.expose().try_into().unwrap()));
    burn_stack();
    assert_eq!(locked.as_slice(), secret.expose());
    assert_nowhere("value moved into locked memory", &secret);
}

/// Only where the compiler optimises: otherwise the caller's frame keeps copies of its own.
#[cfg(not(debug_assertions))]
#[test]
fn place_a_value_was_passed_in_is_wiped() {
    let secret = random(64);
    // SAFETY: the secret has 64 bytes.
    let value = || unsafe { secret.expose().as_ptr().cast::<[u8; 64]>().read() };
    let locked = Locked::new(value());
    assert_eq!(locked.as_slice(), secret.expose());
    assert_nowhere("value passed on the stack", &secret);
}

#[test]
fn burnt_stack_holds_nothing_of_the_calls_before() {
    #[inline(never)]
    fn careless(secret: &SecretBytes) -> u8 {
        let copy: [u8; 64] = secret.expose().try_into().unwrap();
        black_box(&copy).iter().fold(0, |sum, byte| sum ^ byte)
    }
    let secret = random(64);
    black_box(careless(&secret));
    burn_stack();
    assert_nowhere("secret used on the stack", &secret);
}

#[test]
fn secp256k1_key_in_locked_memory_leaves_nothing_after_signing() {
    use k256::ecdsa::Signature;
    use k256::ecdsa::SigningKey;
    use k256::ecdsa::signature::Signer;
    let scalar = random(32);
    let key = Locked::make(|| SigningKey::from_slice(scalar.expose()).unwrap());
    let signature: Signature = below(|| key.sign(b"message"));
    black_box(signature);
    burn_stack();
    assert_nowhere("scalar", &scalar);
    assert_nowhere("scalar as a number in memory", &reversed(&scalar));
}

#[test]
fn memory_for_secrets_is_locked_and_counted() {
    let before = locked_memory();
    let secret = random(100_000);
    let with = locked_memory();
    assert!(with.in_use_bytes >= 100_000);
    assert!(with.capacity_bytes >= with.in_use_bytes);
    if before.kind == MemoryKind::Plain {
        eprintln!("SKIPPED: this machine locks no memory for us");
        return;
    }
    assert_eq!(with.unlocked_bytes, 0);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    let kib: usize = locked.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib * 1024 >= secret.len(), "VmLck {kib} KiB");
}
