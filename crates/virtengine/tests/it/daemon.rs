//! The daemon of a home: the same commands, the same output; locked until someone unlocks; killed and
//! started again.

use std::fs;

use serde_json::Value;

use crate::home::Home;
use crate::home::PASSPHRASE;
use crate::home::read;
use crate::serving::Serving;

#[test]
fn commands_print_the_same_with_the_daemon_and_without() {
    let home = Home::new();
    home.json(&["keys", "add", "val"]);
    home.json(&["keys", "add", "acct", "--purpose", "account"]);
    let commands: [&[&str]; 10] = [
        &["keys", "list"],
        &["keys", "show", "val"],
        &["keys", "show", "val", "--pem"],
        &["keys", "history", "acct"],
        &["keys", "export", "acct", "--format", "cosmos"],
        &["policy", "list"],
        &["policy", "show", "default"],
        &["role", "list"],
        &["principal", "list"],
        &["principal", "show", "alice"],
    ];
    for format in ["json", "text", "yaml"] {
        let run =
            |command: &[&str]| home.run(&[command, &["-o", format]].concat()).expect(0).stdout;
        let here: Vec<_> = commands.iter().map(|command| run(command)).collect();
        let daemon = Serving::unlocked(&home, &[]);
        for (command, here) in commands.iter().zip(&here) {
            let there = run(command);
            assert_eq!(
                String::from_utf8_lossy(&there),
                String::from_utf8_lossy(here),
                "{command:?}"
            );
        }
        daemon.stop();
    }
}

#[test]
fn refusals_are_the_same_with_the_daemon_and_without() {
    let home = Home::new();
    home.json(&["keys", "add", "val"]);
    home.write("message", "hello");
    let message = home.file_name("message");
    home.json(&["keys", "suspend", "val", "--reason", "test"]);
    let refused: [(&[&str], i32); 6] = [
        (&["keys", "show", "nope"], 3),
        (&["keys", "add", "val"], 4),
        (&["sign", "val", "--in", &message], 10),
        (&["keys", "add", "x", "--purpose", "consensus", "--algo", "p256"], 2),
        (&["policy", "show", "nope"], 3),
        (&["session", "end", "0123456789abcdef"], 3),
    ];
    let here: Vec<Value> =
        refused.iter().map(|(command, code)| home.refused(command, *code)).collect();
    let daemon = Serving::unlocked(&home, &[]);
    for ((command, code), here) in refused.iter().zip(&here) {
        assert_eq!(home.refused(command, *code)["code"], here["code"], "{command:?}");
    }
    daemon.stop();
}

#[test]
fn a_daemon_starts_locked_and_signs_once_someone_unlocks() {
    let home = Home::new();
    home.json(&["keys", "add", "val"]);
    let message = home.write("message", "hello");
    let daemon = Serving::start(&home, &[]);
    let status: Value = home.bare(&["status", "-o", "json"]).run().expect(0).json();
    assert_eq!(status["sealed"], true);
    home.run(&["unlock"]).expect(0);
    let status: Value = home.bare(&["status", "-o", "json"]).run().expect(0).json();
    assert_eq!(status["sealed"], false);
    home.run(&["sign", "val", "--in", &message]).expect(0);
    home.run(&["lock"]).expect(0);
    let status: Value = home.bare(&["status", "-o", "json"]).run().expect(0).json();
    assert_eq!(status["sealed"], true);
    daemon.stop();
}

#[test]
fn a_killed_daemon_leaves_a_home_that_opens_and_serves_again() {
    let home = Home::new();
    let message = home.write("message", "hello");
    let daemon = Serving::unlocked(&home, &[]);
    home.json(&["keys", "add", "val"]);
    home.run(&["sign", "val", "--in", &message]).expect(0);
    daemon.kill();
    assert!(home.path().join("kms.sock").exists(), "it had no time to clean up");
    home.run(&["sign", "val", "--in", &message]).expect(0); // in a process of its own
    let daemon = Serving::unlocked(&home, &[]);
    home.run(&["sign", "val", "--in", &message]).expect(0);
    let second = home.bare(&["serve", "--unix", "other.sock", "-o", "json"]).run().expect(4);
    assert_eq!(second.problem()["code"], "home_in_use");
    daemon.stop();
    assert!(!home.path().join("kms.sock").exists());
    home.run(&["audit", "verify"]).expect(0);
    let signed = home.run(&["audit", "log", "--type", "key_signed", "-o", "json"]).expect(0);
    assert_eq!(signed.text().lines().count(), 3);
}

#[test]
fn a_kept_session_serves_until_it_is_ended() {
    let home = Home::new();
    let daemon = Serving::unlocked(&home, &[]);
    let runtime = home.file("runtime");
    let bare =
        |arguments: &[&str]| home.bare(arguments).env("XDG_RUNTIME_DIR", runtime.as_os_str()).run();
    let login = home.command(&["login", "-o", "json"]).env("XDG_RUNTIME_DIR", runtime.as_os_str());
    let logged_in = login.run().expect(0).json();
    assert_eq!(logged_in["session"].as_str().unwrap().len(), 64);
    let kept = fs::read_dir(runtime.join("virtengine")).unwrap().next().unwrap().unwrap().path();
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&kept).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    bare(&["keys", "add", "val", "-o", "json"]).expect(0);
    let sessions = bare(&["session", "list", "-o", "json"]).expect(0).json();
    let tag = sessions[0]["session"].as_str().unwrap().to_owned();
    bare(&["session", "end", &tag]).expect(0);
    let over = bare(&["keys", "list"]);
    assert_ne!(over.code, 0, "no session, and no passphrase on the empty stdin: {over:?}");
    assert!(!kept.exists(), "a session that is over is forgotten");
    daemon.stop();
}

#[test]
fn keys_in_memory_live_as_long_as_the_daemon() {
    let home = Home::new();
    let message = home.write("message", "hello");
    home.refused(&["keys", "add", "m", "--storage", "memory"], 2);
    let daemon = Serving::unlocked(&home, &[]);
    home.json(&["keys", "add", "m", "--storage", "memory"]);
    home.run(&["sign", "m", "--in", &message]).expect(0);
    daemon.stop();
    let lost = home.refused(&["sign", "m", "--in", &message], 8);
    assert_eq!(lost["code"], "private_key_not_found");
}

#[test]
fn the_log_is_taken_out_through_the_daemon_as_it_stands() {
    let home = Home::new();
    let daemon = Serving::unlocked(&home, &[]);
    home.json(&["keys", "add", "val"]);
    let file = home.file_name("export.jsonl");
    home.run(&["audit", "export", "--out", &file]).expect(0);
    let exported = read(&file);
    let log = read(home.path().join("audit/audit-000001.log"));
    assert!(exported.lines().count() > 4);
    assert!(log.starts_with(&exported), "the exact lines");
    assert_eq!(home.run(&["audit", "verify", "-o", "json"]).expect(0).json()["valid"], true);
    daemon.stop();
}

#[test]
fn the_daemon_gives_up_what_it_does_not_need() {
    let home = Home::new();
    let daemon = Serving::unlocked(&home, &[]);
    let status = read(format!("/proc/{}/status", daemon.pid()));
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!((field("Seccomp:"), field("NoNewPrivs:")), ("2".to_owned(), "1".to_owned()));
    assert_eq!(field("Umask:"), "0077");
    let limits = read(format!("/proc/{}/limits", daemon.pid()));
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    daemon.stop();
}

#[test]
fn commands_for_a_daemon_say_that_there_is_none() {
    let home = Home::new();
    for command in ["login", "logout", "unlock", "lock"] {
        assert_eq!(home.refused(&[command], 7)["code"], "no_daemon", "{command}");
    }
    let gone = format!("unix:{}", home.file_name("gone.sock"));
    let missing = home.refused(&["keys", "list", "--server", &gone], 7);
    assert_eq!(missing["code"], "server_unreachable");
    home.run(&["keys", "list", "--server", "ftp://x"]).expect(2);
}

// Attack 42: bodies pass through buffers of libraries that know nothing of secrets.
#[test]
fn no_passphrase_stays_in_the_daemon_s_memory() {
    let home = Home::new();
    let daemon = Serving::start(&home, &[]);
    home.run(&["unlock"]).expect(0);
    let other = "another passphrase, of bob 8!";
    let file = home.write("bob", other);
    let add = ["principal", "add", "bob", "--role", "signer", "--new-passphrase-file"];
    home.run(&[&add[..], &[&file]].concat()).expect(0);
    let memory = format!("/proc/{}/mem", daemon.pid());
    let Ok(memory) = fs::File::open(&memory) else {
        assert!(std::env::var_os("CI").is_none(), "only root can read {memory}");
        eprintln!("SKIPPED: only root can read {memory}");
        return;
    };
    let maps = read(format!("/proc/{}/maps", daemon.pid()));
    let mut looked_at = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (start, end) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // What even root cannot read is memory for secrets.
        if std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, start).is_err() {
            continue;
        }
        looked_at += bytes.len();
        for secret in [PASSPHRASE, other] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a passphrase is in {line}");
        }
    }
    assert!(looked_at > 1 << 20, "{looked_at} bytes were looked at");
    daemon.stop();
}
