//! What goes to stdout, what to stderr, and what needs no home.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::virtengine;
use crate::home::Home;

#[test]
fn failure_in_json_is_the_only_thing_on_stderr() {
    let home = Home::new();
    let run = home.run(&["keys", "show", "none", "-o", "json"]).expect(3);
    let problem: Value = serde_json::from_str(&run.stderr).expect("one object");
    assert_eq!(problem["code"], "key_not_found");
    // What would have been told beside it stands in it.
    assert!(problem["notes"][0].as_str().unwrap().contains("development home"));

    // Where nothing fails, and in text, it is told as ever.
    let run = home.run(&["keys", "list", "-o", "json"]).expect(0);
    assert!(run.stderr.contains("development home"), "{}", run.stderr);
    let run = home.run(&["keys", "show", "none"]).expect(3);
    assert!(run.stderr.starts_with("warning: this is a development home"), "{}", run.stderr);

    // The same when the configuration is what asks for JSON.
    fs::write(home.path().join("config.toml"), "output = \"json\"\n").unwrap();
    let run = home.run(&["keys", "show", "none"]).expect(3);
    let last = run.stderr.lines().last().unwrap();
    assert!(serde_json::from_str::<Value>(last).is_ok(), "{}", run.stderr);
    assert!(!run.stderr.contains("warning: this is a development home\n"));
}

#[test]
fn auditor_needs_no_home_no_configuration_and_no_home_directory() {
    let home = Home::new();
    let head = home.json(&["audit", "head"]);
    let audit = home.path().join("audit");
    let audit = audit.to_str().unwrap();
    let expected = format!("{}:{}", head["size"], head["root"].as_str().unwrap());
    let key = head["audit_key"].as_str().unwrap();
    let arguments = ["audit", "verify", "--dir", audit, "--audit-key", key, "--expect-head"];
    let run = virtengine(&[&arguments[..], &[&expected, "-o", "json"]].concat()).expect(0);
    assert_eq!(run.json()["valid"], true);
    assert_eq!(run.stderr, "");

    let missing = home.file_name("missing");
    let run = virtengine(&["audit", "verify", "--dir", &missing, "-o", "json"]).expect(3);
    assert_eq!(run.text(), "");
    assert!(run.problem()["message"].as_str().unwrap().contains("missing"));
}

#[test]
fn reader_that_goes_away_is_no_failure_to_talk_about() {
    let home = Home::new();
    for _ in 0..3 {
        home.run(&["keys", "list"]).expect(0);
    }
    let run = home.command(&["audit", "export"]).run_into_closed_pipe();
    assert!(!run.stderr.contains("error"), "{}", run.stderr);
}

#[test]
fn export_is_for_its_owner_only() {
    let home = Home::new();
    let out = home.file_name("log.csv");
    home.run(&["audit", "export", "--format", "csv", "--out", &out]).expect(0);
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn value_with_a_line_break_stays_one_message() {
    let run = virtengine(&["keys", "show", "a\nerror: b", "-o", "json"]).expect(2);
    let problem = run.problem();
    assert_eq!(problem["message"], "invalid value 'a\nerror: b' for '<KEY>'");
    assert!(problem["reason"].as_str().unwrap().starts_with("a name has letters"));
    let run = virtengine(&["keys", "show", "a\u{1b}[2J\nerror: b"]).expect(2);
    assert!(run.stderr.starts_with("error[usage]: invalid value 'a\\u{1b}[2J\\nerror: b'"));
}

#[test]
fn configuration_that_is_no_text_is_invalid() {
    let home = Home::new();
    fs::write(home.path().join("config.toml"), b"\xff\xfe").unwrap();
    assert_eq!(home.refused(&["keys", "list"], 2)["code"], "config_invalid");
}

#[test]
fn manual_pages_make_their_directory() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man1");
    virtengine(&["man", "--dir", pages.to_str().unwrap()]).expect(0);
    assert!(pages.join("virtengine-keys-add.1").is_file());
}
