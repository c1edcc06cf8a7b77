//! What works, and what is refused, before there is a home.

use std::fs;

use serde_json::json;

use crate::harness::Virtengine;
use crate::harness::virtengine;

#[test]
fn help_and_version_are_data_on_stdout() {
    for arguments in [&["--help"][..], &["--version"], &["keys", "add", "--help"]] {
        let run = virtengine(arguments).expect(0);
        assert!(!run.stdout.is_empty());
        assert_eq!(run.stderr, "");
    }
    let version = virtengine(&["--version"]).text().to_owned();
    assert_eq!(version, concat!("virtengine ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn wrong_use_ends_with_2_and_nothing_on_stdout() {
    for arguments in [
        &[][..],
        &["serve"],
        &["keys"],
        &["keys", "add"],
        &["keys", "add", "a/b"],
        &["keys", "add", ".."],
        &["keys", "add", "a\nb"],
        &["keys", "add", "a\u{1b}[2J"],
        &["keys", "add", ""],
        &["keys", "add", &"x".repeat(65)],
        &["keys", "add", "a", "--algo", "dsa"],
        &["keys", "add", "a", "--storage", "/etc/passwd"],
        &["keys", "suspend", "a"],
        &["keys", "suspend", "a", "--reason", ""],
        &["keys", "suspend", "a", "--reason", "two\nlines"],
        &["keys", "destroy", "a", "--reason", "r", "--now", "--cancel"],
        &["keys", "migrate", "a"],
        &["verify", "a"],
        &["sign", "a", "--encoding", "morse"],
        &["sign", "a", "--prehashed", "--hash", "keccak256"],
        &["--passphrase", "hunter2", "status"],
        &["audit", "log", "--since", "soon"],
        &["completions", "powershell"],
        &["-o", "xml", "status"],
    ] {
        let run = virtengine(arguments).expect(2);
        assert_eq!(run.text(), "", "{arguments:?}");
        assert!(!run.stderr.contains('\u{1b}'), "{arguments:?} steers the terminal");
        assert!(!run.stderr.is_empty(), "{arguments:?} says nothing");
    }
}

#[test]
fn usage_error_is_json_where_json_was_asked_for() {
    let expected = json!({
        "code": "usage",
        "message": "unrecognized subcommand 'kes'",
        "reason": "Usage: virtengine [OPTIONS] <COMMAND>",
        "advice": ["a similar subcommand exists: 'keys'", "virtengine --help"],
    });
    let problem = virtengine(&["kes", "list", "-o", "json"]).expect(2).problem();
    assert_eq!(problem, expected);
    let run = Virtengine::new(&["kes", "list"]).env("VIRTENGINE_OUTPUT", "json").run();
    assert_eq!(run.expect(2).problem(), expected);
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let run = virtengine(&["completions", shell]).expect(0);
        for command in ["import-hex", "complete-rotation", "set-roles", "checkpoint"] {
            assert!(run.text().contains(command), "{shell} lacks {command}");
        }
    }
}

#[test]
fn manual_pages_are_written_for_every_command() {
    assert!(virtengine(&["man"]).expect(0).text().contains(".TH virtengine 1"));
    let dir = tempfile::tempdir().unwrap();
    let run = virtengine(&["man", "--dir", dir.path().to_str().unwrap()]).expect(0);
    assert_eq!(run.text(), "");
    for page in ["virtengine.1", "virtengine-keys.1", "virtengine-keys-import-hex.1"] {
        let text = fs::read_to_string(dir.path().join(page)).unwrap();
        assert!(text.contains(&format!(".TH {} 1", page.trim_end_matches(".1"))), "{page}");
    }
    virtengine(&["man", "--dir", "/dev/null/dir"]).expect(1);
}

#[test]
fn configuration_is_checked_line_by_line() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    fs::write(&file, "[audit]\nsync_write = false\n[session]\nidle_timeout_s = \"x\"\n").unwrap();
    let run = Virtengine::new(&["config", "check", "-o", "json"]).home(home.path()).run().expect(2);
    assert_eq!(run.json()["valid"], false);
    assert_eq!(
        run.json()["problems"][0],
        json!({
            "line": 2,
            "message": "unknown key `audit.sync_write`; did you mean `sync_writes`?",
            "advice": "did you mean `sync_writes`?",
        })
    );
    assert_eq!(run.json()["problems"][1]["line"], 4);

    // Every other command refuses to run with it, and names the same mistake.
    let run = Virtengine::new(&["status", "-o", "json"]).home(home.path()).run().expect(2);
    assert_eq!(run.problem()["code"], "config_invalid");
    assert_eq!(run.problem()["advice"][0], "did you mean `sync_writes`?");
}

#[test]
fn configuration_without_end_is_refused() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("config.toml"), "#".repeat(1024 * 1024 + 1)).unwrap();
    let run = Virtengine::new(&["config", "check", "-o", "json"]).home(home.path()).run().expect(2);
    assert_eq!(run.problem()["code"], "config_invalid");
}

#[test]
fn flags_win_over_environment_and_environment_over_file() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("config.toml"), "output = \"json\"\n").unwrap();
    let show = |arguments: &[&str]| Virtengine::new(arguments).home(home.path());
    let json = show(&["config", "show"]).run().expect(0).json();
    assert_eq!(json["output"], "json");
    assert_eq!(json["session"]["idle_timeout_s"], 900);
    let yaml = show(&["config", "show"])
        .env("VIRTENGINE_OUTPUT", "yaml")
        .env("VIRTENGINE_SESSION_IDLE_TIMEOUT_S", "60")
        .run()
        .expect(0);
    assert!(yaml.text().contains("\n  idle_timeout_s: 60\n"), "{}", yaml.text());
    let text = show(&["config", "show", "-o", "text"]).env("VIRTENGINE_OUTPUT", "yaml").run();
    assert!(text.expect(0).text().contains("output = \"text\"\n"));
}

#[test]
fn without_any_home_the_program_says_so() {
    let run = virtengine(&["config", "show", "-o", "json"]).expect(2);
    assert_eq!(run.problem()["message"], "no home is known");
}

#[test]
fn closed_stdout_is_no_panic() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_virtengine"))
        .args(["completions", "bash"])
        .env_clear()
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_ne!(output.status.code(), Some(101));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
