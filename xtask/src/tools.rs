//! What the tests need from the machine beyond Rust and a C compiler.

use std::process::Command;

use crate::shell::Outcome;
use crate::shell::cargo;
use crate::shell::step;
use crate::shell::which;

/// A program, the Debian package that brings it, and what it is for.
const PROGRAMS: [(&str, &str, &str); 12] = [
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
    Ok(())
}

fn ensure_packages() -> Outcome {
    let missing: Vec<_> =
        PROGRAMS.iter().filter(|(program, ..)| which(program).is_none()).collect();
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
