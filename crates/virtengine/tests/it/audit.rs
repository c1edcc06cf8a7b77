//! The audit log: read, verified, exported; damage is named.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::harness::virtengine;
use crate::home::Home;
use crate::home::read;

fn log_file(home: &Path) -> PathBuf {
    let entries = fs::read_dir(home.join("audit")).unwrap();
    let mut logs = entries.map(|entry| entry.unwrap().path());
    logs.find(|path| path.extension().is_some_and(|e| e == "log")).expect("there is a log")
}

#[test]
fn log_is_read_verified_and_exported() {
    let home = Home::new();
    let key = home.json(&["keys", "add", "k"]);
    home.json(&["sign", "k", "--empty"]);
    let log = home.run(&["audit", "log", "--key", "k", "-o", "json"]).expect(0);
    let events: Vec<Value> =
        log.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["type"], "key_created");
    assert!(events.iter().any(|event| event["type"] == "key_signed" && event["success"] == true));
    assert!(events.iter().all(|event| event["key"] == key["id"]));
    let signed = home.run(&["audit", "log", "--type", "key_signed", "--limit", "1", "-o", "json"]);
    assert_eq!(signed.expect(0).text().lines().count(), 1);
    home.run(&["audit", "log", "--since", "1h"]).expect(0);

    let head = home.json(&["audit", "head"]);
    assert!(head["size"].as_u64().unwrap() > 3);
    let (root, audit_key) = (head["root"].as_str().unwrap(), head["audit_key"].as_str().unwrap());
    assert_eq!(root.len(), 64);
    let verified = home.json(&["audit", "verify"]);
    assert_eq!(verified["valid"], true);
    assert_eq!(verified["errors"], json!([]));

    // Without home, lock or passphrase; the head of before is still in it, another is not.
    let dir = home.path().join("audit").to_str().unwrap().to_owned();
    let expect = format!("{}:{root}", head["size"]);
    let options = ["audit", "verify", "--dir", &dir, "--audit-key", audit_key, "-o", "json"];
    let env = |arguments: &[&str]| {
        crate::harness::Virtengine::new(arguments).env("HOME", "/nonexistent").run()
    };
    let run = env(&[&options[..], &["--expect-head", &expect]].concat()).expect(0);
    assert!(run.json()["records"].as_u64().unwrap() > head["size"].as_u64().unwrap());
    assert_eq!(run.stderr, "");
    let other = format!("{}:{}", head["size"], "0".repeat(64));
    env(&[&options[..], &["--expect-head", &other]].concat()).expect(8);
    virtengine(&["audit", "verify", "--dir", &dir, "--expect-head", "7"]).expect(2);

    let report = home.json(&["audit", "report", "--since", "1d"]);
    assert!(report["total_events"].as_u64().unwrap() > 5);
    let out = home.file_name("export.csv");
    home.run(&["audit", "export", "--format", "csv", "--out", &out]).expect(0);
    assert!(read(&out).lines().count() > 5);
    home.refused(&["audit", "export", "--out", &out], 4);
    let lines = home.run(&["audit", "export"]).expect(0);
    assert!(read(log_file(&home.path())).starts_with(lines.text().lines().next().unwrap()));
    let checkpoint = home.json(&["audit", "checkpoint"]);
    assert!(checkpoint["size"].as_u64() > head["size"].as_u64());
}

#[test]
fn one_changed_byte_is_named_and_stops_the_home() {
    let home = Home::new();
    home.json(&["keys", "add", "k"]);
    let file = log_file(&home.path());
    let text = read(&file).replacen("key_created", "key_deleted", 1);
    fs::write(&file, text).unwrap();

    let run = home.run(&["audit", "verify", "-o", "json"]).expect(8);
    let verified = run.json();
    assert_eq!(verified["valid"], false);
    assert_eq!(verified["errors"][0]["kind"], "edited", "{verified}");
    assert_eq!(verified["errors"][0]["file"], file.file_name().unwrap().to_str().unwrap());
    assert!(verified["errors"][0]["line"].as_u64().unwrap() > 1);
    home.refused(&["sign", "k", "--empty"], 8);
}
