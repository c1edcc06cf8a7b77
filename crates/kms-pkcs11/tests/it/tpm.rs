//! A TPM 2.0: swtpm behind tpm2-abrmd and tpm2-pkcs11, all from Debian packages, all started here and
//! ended with the test.

use std::io::BufRead;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use kms::key::Algorithm;
use kms::storage::KeyStorage;
use kms::storage::conformance::conformance;
use kms_pkcs11::HsmProviderConfig;
use kms_pkcs11::Timeouts;
use tempfile::TempDir;

use crate::token::Token;
use crate::token::needed;

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The TPM, a message bus of its own, the resource manager, and the token on top.
struct Tpm {
    token: Token,
    _running: Vec<Running>,
}

impl Tpm {
    fn start() -> Option<Self> {
        let library = needed(
            "tpm2-pkcs11",
            "libtpm2-pkcs11-1",
            &[
                "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1",
                "/usr/lib/aarch64-linux-gnu/libtpm2_pkcs11.so.1",
            ],
        )?;
        needed("swtpm", "swtpm", &["/usr/bin/swtpm"])?;
        needed("a resource manager", "tpm2-abrmd", &["/usr/sbin/tpm2-abrmd"])?;
        needed("a message bus", "dbus", &["/usr/bin/dbus-daemon"])?;
        let dir = tempfile::tempdir().unwrap();
        let port = two_free_ports();
        let swtpm = swtpm(&dir, port);
        let (bus, address) = message_bus();
        let manager = Command::new("tpm2-abrmd")
            .args(["--session", "--allow-root"])
            .arg(format!("--tcti=swtpm:host=127.0.0.1,port={port}"))
            .env("DBUS_SESSION_BUS_ADDRESS", &address)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let manager = Running(manager.unwrap());
        let store = dir.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = vec![
            set("DBUS_SESSION_BUS_ADDRESS", &address),
            set("TPM2_PKCS11_TCTI", "tabrmd:bus_type=session"),
            set("TPM2_PKCS11_STORE", &store.display().to_string()),
            set("TPM2_PKCS11_LOG_LEVEL", "0"),
            set("TSS2_LOG", "all+NONE"),
        ];
        let minute = Duration::from_secs(60);
        let timeouts = Timeouts { start: minute, operation: minute, ..Timeouts::default() };
        let config =
            HsmProviderConfig { environment, timeouts, ..HsmProviderConfig::new("tpm", library) };
        answers(&config);
        let token = Token::initialised(dir, config);
        Some(Self { token, _running: vec![manager, bus, swtpm] })
    }
}

/// Two ports in a row that nobody uses: the TPM's own, and that of its control.
fn two_free_ports() -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two free ports in a row");
}

fn swtpm(dir: &TempDir, port: u16) -> Running {
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let child = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
        .arg(format!("--tpmstate=dir={}", state.display()))
        .arg(format!("--ctrl=type=tcp,bindaddr=127.0.0.1,port={}", port + 1))
        .arg(format!("--server=type=tcp,bindaddr=127.0.0.1,port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Running(child.unwrap())
}

/// A bus of this test's own, and its address.
fn message_bus() -> (Running, String) {
    let mut child = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--print-address"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut address = String::new();
    let out = child.stdout.as_mut().unwrap();
    std::io::BufReader::new(out).read_line(&mut address).unwrap();
    (Running(child), address.trim_end().to_owned())
}

/// Waits until the library finds its TPM.
fn answers(config: &HsmProviderConfig) {
    let until = Instant::now() + Duration::from_secs(120);
    while config.see_slots(&crate::token::worker()).map_or(0, |slots| slots.len()) == 0 {
        assert!(Instant::now() < until, "no TPM answers within two minutes");
        std::thread::yield_now();
    }
}

#[test]
fn tpm_conforms_in_what_it_offers() {
    let Some(tpm) = Tpm::start() else { return };
    let storage = tpm.token.storage();
    assert_eq!(storage.algorithms(), [Algorithm::P256, Algorithm::Rsa2048]);
    assert_eq!(storage.importable(), []);
    assert!(Path::new(&tpm.token.dir.path().join("store/tpm2_pkcs11.sqlite3")).exists());
    conformance(&storage);
}
