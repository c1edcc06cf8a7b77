//! What the tests need from the machine beyond Rust and a C compiler.

use std::process::Command;

use crate::shell::Outcome;
use crate::shell::cargo;
use crate::shell::root;
use crate::shell::step;
use crate::shell::which;

/// A program, the Debian package that brings it, and what it is for.
const PROGRAMS: [(&str, &str, &str); 16] = [
    ("openssl", "openssl", "another verifier of our signatures and key files"),
    ("ssh-keygen", "openssh-client", "another reader of our SSH public keys"),
    ("strace", "strace", "fails every system call in turn"),
    ("mkfs.ext4", "e2fsprogs", "a file system to cut the power of"),
    ("mkfs.xfs", "xfsprogs", "another one"),
    ("xfs_io", "xfsprogs", "the power cut (FS_IOC_SHUTDOWN)"),
    ("node", "nodejs", "runs CosmJS, the other side of a multi-signature account"),
    ("npm", "npm", "installs CosmJS"),
    ("argon2", "argon2", "the C reference of Argon2id"),
    ("curl", "curl", "another client of the daemon"),
    ("promtool", "prometheus", "checks the metrics and the alert rules"),
    ("systemd-analyze", "systemd", "rates the unit file"),
    ("softhsm2-util", "softhsm2", "a token in software"),
    ("pkcs11-tool", "opensc", "another program that uses tokens"),
    ("swtpm", "swtpm", "a TPM 2.0 in software"),
    ("tpm2-abrmd", "tpm2-abrmd", "its resource manager"),
];

/// Libraries, by a file of theirs; the first that is there counts.
const LIBRARIES: [(&[&str], &str, &str); 5] = [
    (
        &[
            "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1",
            "/usr/lib/aarch64-linux-gnu/libtpm2_pkcs11.so.1",
        ],
        "libtpm2-pkcs11-1",
        "the TPM as a token",
    ),
    (
        &[
            "/usr/lib/x86_64-linux-gnu/libtss2-tcti-tabrmd.so.0",
            "/usr/lib/aarch64-linux-gnu/libtss2-tcti-tabrmd.so.0",
        ],
        "libtss2-tcti-tabrmd0",
        "the way from the one to the other",
    ),
    (
        &[
            "/usr/lib/x86_64-linux-gnu/libtss2-tcti-swtpm.so.0",
            "/usr/lib/aarch64-linux-gnu/libtss2-tcti-swtpm.so.0",
        ],
        "libtss2-tcti-swtpm0",
        "the way to the TPM in software",
    ),
    (&["/usr/bin/dbus-daemon"], "dbus", "the bus that the resource manager is found on"),
    (
        &["/usr/include/sqlite3.h"],
        "libsqlite3-dev",
        "the database of the token Kryoptic, which is built here",
    ),
];

/// Programs from the Rust registry: name and version.
const CARGO_PROGRAMS: [(&str, &str); 1] = [("cargo-deny", "0.20.2")];

/// Installs what is missing when this is root on Debian; else prints the exact commands.
pub(crate) fn ensure() -> Outcome {
    ensure_packages()?;
    for (program, version) in CARGO_PROGRAMS {
        if which(program).is_none() && cargo_home_has(program).is_none() {
            let install = ["install", "--locked", "--version", version, program];
            step(&format!("install {program} {version}"), &mut cargo(install))?;
        }
    }
    kryoptic()
}

/// Builds the token Kryoptic, for tests, where it is not built yet: once, into a directory of its own.
fn kryoptic() -> Outcome {
    let built = root().join("target/kryoptic/release/libkryoptic_token.so");
    if built.exists() {
        return Ok(());
    }
    let build = [
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        "testing/kryoptic/Cargo.toml",
        "--target-dir",
        "target/kryoptic",
    ];
    step("the token Kryoptic", &mut cargo(build))
}

/// Whether bindgen will find libclang.
fn libclang() -> bool {
    let versions = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    versions
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm-"))
        .any(|entry| entry.path().join("lib/libclang.so.1").exists())
}

fn ensure_packages() -> Outcome {
    let absent = |paths: &[&str]| !paths.iter().any(|path| std::path::Path::new(path).exists());
    let programs = PROGRAMS.into_iter().filter(|(program, ..)| which(program).is_none());
    let libraries = LIBRARIES.into_iter().filter(|(paths, ..)| absent(paths));
    let libraries = libraries.map(|(_, package, purpose)| (package, package, purpose));
    let mut missing: Vec<(&str, &str, &str)> = programs.chain(libraries).collect();
    if !libclang() {
        missing.push(("libclang", "libclang-dev", "reads a C header to build Kryoptic"));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    for (program, package, purpose) in &missing {
        eprintln!("missing: {program} ({package}): {purpose}");
    }
    if !is_root() || which("apt-get").is_none() {
        return Err(format!(
            "the tests need more programs; install them with\n  sudo apt-get install {}",
            packages.join(" ")
        ));
    }
    step("apt-get update", Command::new("apt-get").args(["update", "-q"]))?;
    step(
        "apt-get install",
        Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "-q", "-y", "--no-install-recommends"])
            .args(packages),
    )
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|answer| answer.stdout == b"0\n")
}

/// `cargo install` puts programs where `cargo` finds them, also when the PATH does not.
fn cargo_home_has(program: &str) -> Option<std::path::PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(std::path::PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))?;
    let candidate = home.join("bin").join(program);
    candidate.is_file().then_some(candidate)
}
