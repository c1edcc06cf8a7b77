//! Signing and parsing keys use no more stack than is burnt after them.

use std::ffi::c_void;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::RSA_PSS_SHA256;
use aws_lc_rs::signature::RsaKeyPair;
use k256::ecdsa::Signature;
use k256::ecdsa::SigningKey;
use k256::ecdsa::signature::Signer;
use kms_secret::burn_stack;

const STACK_BYTES: usize = 1 << 20;
const PAINT: u8 = 0xa5;
const BURNT_BYTES: usize = 64 * 1024;
/// Nothing is painted so close below a running function.
const MARGIN_BYTES: usize = 1024;

/// What a thread is to do twice, on which stack, and how far down it came the second time.
struct Task {
    work: Box<dyn FnMut() + Send>,
    stack: *mut u8,
    depth: usize,
}

extern "C" fn run(task: *mut c_void) -> *mut c_void {
    // SAFETY: the starting thread passes its `Task` and waits for us before it looks at it again.
    let task = unsafe { &mut *task.cast::<Task>() };
    // The first time makes what is made once: tables of public points, the generator of random bytes.
    (task.work)();
    let here = 0u8;
    let frame = (&raw const *black_box(&here)).addr() - task.stack.addr();
    // SAFETY: what lies this far below the frame of a running function holds nothing that is alive.
    unsafe { task.stack.write_bytes(PAINT, frame - MARGIN_BYTES) };
    (task.work)();
    // SAFETY: the stack is mapped and initialised; the bytes below this frame change no more.
    let bytes = unsafe { std::slice::from_raw_parts(task.stack, frame - MARGIN_BYTES) };
    let untouched = bytes.iter().position(|byte| *byte != PAINT).unwrap_or(bytes.len());
    assert!(untouched > MARGIN_BYTES, "the stack was too small to measure");
    task.depth = frame - untouched;
    null_mut()
}

/// The stack that some work needs below its caller, in bytes: what it has changed of a painted stack.
fn stack_of(work: impl FnMut() + Send + 'static) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a thread runs on memory mapped for it alone, and is waited for before that goes away.
    unsafe {
        let stack = libc::mmap(null_mut(), STACK_BYTES, rights, flags, -1, 0);
        assert_ne!(stack, libc::MAP_FAILED);
        let mut task = Task { work: Box::new(work), stack: stack.cast(), depth: 0 };
        let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
        assert_eq!(libc::pthread_attr_init(attributes.as_mut_ptr()), 0);
        assert_eq!(libc::pthread_attr_setstack(attributes.as_mut_ptr(), stack, STACK_BYTES), 0);
        let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
        let argument = (&raw mut task).cast();
        let (thread_at, attributes_at) = (thread.as_mut_ptr(), attributes.as_ptr());
        assert_eq!(libc::pthread_create(thread_at, attributes_at, run, argument), 0);
        assert_eq!(libc::pthread_join(thread.assume_init(), null_mut()), 0);
        assert_eq!(libc::munmap(stack, STACK_BYTES), 0);
        task.depth
    }
}

#[track_caller]
fn assert_within(what: &str, work: impl FnMut() + Send + 'static) {
    let depth = stack_of(work);
    println!("{what}: {depth} bytes");
    assert!(depth <= BURNT_BYTES, "{what} needs {depth} bytes of stack, burnt are {BURNT_BYTES}");
}

#[test]
fn measuring_sees_what_was_used() {
    let depth = stack_of(|| {
        black_box(&mut [0u8; 40_000]);
    });
    assert!((40_000..60_000).contains(&depth), "{depth}");
}

#[test]
fn burning_overwrites_what_it_says() {
    let depth = stack_of(burn_stack);
    assert!((BURNT_BYTES..BURNT_BYTES + 4096).contains(&depth), "{depth}");
}

#[test]
fn signing_on_curves_stays_within_what_is_burnt() {
    let seed = [7u8; 32];
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    assert_within("Ed25519 sign", move || {
        black_box(pair.sign(b"message"));
    });
    assert_within("Ed25519 parse", move || {
        black_box(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap());
    });
    let pkcs8 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let pkcs8 = pkcs8.to_pkcs8v1().unwrap();
    let parse =
        move || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
    let pair = parse();
    assert_within("P-256 sign", move || {
        black_box(pair.sign(&SystemRandom::new(), b"message").unwrap());
    });
    assert_within("P-256 parse", move || {
        black_box(parse());
    });
    let key = SigningKey::from_slice(&seed).unwrap();
    assert_within("secp256k1 sign", move || {
        black_box::<Signature>(key.sign(b"message"));
    });
    assert_within("secp256k1 parse", move || {
        black_box(SigningKey::from_slice(&seed).unwrap());
    });
}

#[test]
fn work_with_rsa_keys_stays_within_what_is_burnt() {
    use aws_lc_rs::encoding::AsDer;
    let pair = RsaKeyPair::generate(KeySize::Rsa4096).unwrap();
    let der = pair.as_der().unwrap();
    assert_within("RSA-4096 parse", move || {
        black_box(RsaKeyPair::from_pkcs8(der.as_ref()).unwrap());
    });
    assert_within("RSA-4096 sign", move || {
        let mut signature = vec![0; 512];
        pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), b"message", &mut signature).unwrap();
        black_box(signature);
    });
    assert_within("RSA-2048 make", || {
        black_box(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
    });
}
