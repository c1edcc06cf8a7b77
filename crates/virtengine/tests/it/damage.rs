//! Homes from which something is missing, or in which something was changed.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::home::Home;

fn key_file(home: &Home, name: &str) -> PathBuf {
    let key = home.json(&["keys", "show", name]);
    let id = key["id"].as_str().unwrap().trim_start_matches("k-").to_owned();
    home.path().join("keystore").join(format!("{id}.key"))
}

fn step(home: &Home, name: &str) -> Value {
    let report = home.bare(&["doctor", "-o", "json"]).run().json();
    let steps = report["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == name).unwrap_or(&Value::Null).clone()
}

#[test]
fn home_that_lost_its_database_is_not_taken_for_none() {
    let home = Home::new();
    home.json(&["keys", "add", "k"]);
    fs::remove_file(home.path().join("state/kms.db")).unwrap();
    for arguments in [&["sign", "k", "--empty"][..], &["init", "--mfa", "none"]] {
        let problem = home.refused(arguments, 8);
        assert_eq!(problem["code"], "home_part_gone");
        assert!(problem["message"].as_str().unwrap().contains("state/kms.db is missing"));
        assert!(!problem["advice"].to_string().contains("remove"), "{problem}");
    }
    // Without a single key it is a home whose making was cut off.
    let empty = Home::new();
    fs::remove_file(empty.path().join("state/kms.db")).unwrap();
    assert_eq!(empty.refused(&["init", "--mfa", "none"], 4)["code"], "home_half_made");
}

#[test]
fn part_that_is_missing_is_named() {
    for part in ["state/store.key", "keystore", "keystore/slots.json", "audit", "audit/audit.key"] {
        let home = Home::new();
        fs::rename(home.path().join(part), home.file("away")).unwrap();
        let problem = home.refused(&["keys", "list"], 8);
        assert_eq!(problem["code"], "home_part_gone", "{part}");
        assert!(problem["message"].as_str().unwrap().contains(part), "{problem}");
    }
}

#[test]
fn doctor_finds_what_is_wrong_with_key_files() {
    let home = Home::new();
    home.json(&["keys", "add", "a"]);
    home.json(&["keys", "add", "b"]);
    let (a, b) = (key_file(&home, "a"), key_file(&home, "b"));
    assert_eq!(step(&home, "key files")["ok"], true);

    fs::set_permissions(&a, Permissions::from_mode(0o644)).unwrap();
    assert!(step(&home, "key files")["detail"].as_str().unwrap().contains("chmod"));
    fs::set_permissions(&a, Permissions::from_mode(0o600)).unwrap();

    fs::rename(&a, home.file("a")).unwrap();
    assert_eq!(step(&home, "key files")["ok"], false);
    let problem = home.refused(&["sign", "a", "--empty"], 8);
    assert_eq!(problem["code"], "private_key_not_found");
    assert!(problem["advice"].to_string().contains("backup"));

    fs::copy(&b, &a).unwrap();
    assert!(step(&home, "key files")["detail"].as_str().unwrap().contains("another key"));
    assert_eq!(home.refused(&["sign", "a", "--empty"], 8)["code"], "key_file_altered");
    home.run(&["sign", "b", "--empty"]).expect(0);

    fs::remove_file(&a).unwrap();
    fs::rename(home.file("a"), &a).unwrap();
    assert_eq!(step(&home, "key files")["ok"], true);
    home.run(&["sign", "a", "--empty"]).expect(0);
}

#[test]
fn home_of_another_file_type_and_missing_parents_are_told_plainly() {
    let home = Home::new();
    let file = home.write("file", "x");
    let run = home.command(&["init", "--mfa", "none", "-o", "json"]).run();
    assert_eq!(run.problem()["code"], "home_exists");
    let file = PathBuf::from(file);
    let run = crate::harness::Virtengine::new(&["keys", "list", "-o", "json"]).home(&file).run();
    assert_eq!(run.expect(3).problem()["code"], "no_home");

    // `init` makes the directories above the home.
    let deep = home.file("a/b/home");
    let passphrase = home.file_name("passphrase");
    let arguments = ["init", "--mfa", "none", "--passphrase-file", &passphrase];
    crate::harness::Virtengine::new(&arguments).home(&deep).run().expect(0);
    crate::harness::Virtengine::new(&["status"]).home(&deep).run().expect(0);
}
