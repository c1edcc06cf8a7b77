//! Principals, roles and sessions; who may not is told so, and no more.

use std::fs::File;

use serde_json::Value;
use serde_json::json;

use crate::home::Home;
use crate::home::checked;

const OTHER: &str = "another long passphrase 42?";

#[test]
fn principals_have_roles_and_roles_decide() {
    let home = Home::new();
    home.json(&["keys", "add", "k"]);
    let file = home.write("bob", OTHER);
    let add = ["principal", "add", "bob", "--role", "signer", "--slot", "true"];
    let bob = home.json(&[&add[..], &["--new-passphrase-file", &file]].concat());
    assert_eq!(bob["name"], "bob");
    assert_eq!(bob["roles"][0]["role"], "signer");
    assert_eq!(bob["enabled"], true);
    home.refused(&[&add[..], &["--new-passphrase-file", &file]].concat(), 4);

    let as_bob = |arguments: &[&str]| {
        let who = ["--as", "bob", "--passphrase-file", &file, "-o", "json"];
        checked(home.bare(&[arguments, &who].concat()).run())
    };
    as_bob(&["sign", "k", "--empty"]).expect(0);
    assert_eq!(as_bob(&["keys", "add", "no"]).expect(5).problem()["code"], "permission_denied");
    as_bob(&["principal", "list"]).expect(5);

    // A role of one's own, and roles that reach only some keys.
    let role = home.json(&["role", "set", "watcher", "--permission", "key:read"]);
    assert_eq!(role, json!({"name": "watcher", "permissions": ["key:read"], "builtin": false}));
    let watch = ["principal", "set-roles", "bob", "--role", "watcher", "--scope"];
    home.run(&[&watch[..], &["other*"]].concat()).expect(0);
    assert!(home.run(&["principal", "show", "bob"]).text().contains("watcher (other*)"));
    as_bob(&["keys", "show", "k"]).expect(3);
    home.run(&[&watch[..], &["K*"]].concat()).expect(0);
    as_bob(&["keys", "show", "k"]).expect(0);
    as_bob(&["sign", "k", "--empty"]).expect(5);
    home.run(&["role", "remove", "watcher", "-y"]).expect(4);

    home.run(&["principal", "disable", "bob"]).expect(0);
    assert_eq!(as_bob(&["keys", "list"]).expect(6).problem()["code"], "login_failed");
    home.run(&["principal", "enable", "bob"]).expect(0);
    as_bob(&["keys", "list"]).expect(0);
    home.run(&["principal", "remove", "bob", "-y"]).expect(0);
    as_bob(&["keys", "list"]).expect(6);
    home.refused(&["principal", "show", "bob"], 3);
    home.run(&["role", "remove", "watcher"]).expect(0);

    // Nobody puts themselves out, and so nobody puts out the last administrator.
    home.refused(&["principal", "disable", "alice"], 5);
    home.refused(&["principal", "remove", "alice"], 5);

    let names = |list: &Value| -> Vec<String> {
        let of = |item: &Value| item["name"].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!(names(&home.json(&["principal", "list"])), ["alice"]);
    let roles = names(&home.json(&["role", "list"]));
    for role in ["admin", "auditor", "operator", "responder", "signer"] {
        assert!(roles.iter().any(|name| name == role), "{roles:?}");
    }
    assert_eq!(
        home.json(&["role", "show", "auditor"])["permissions"],
        json!(["key:read", "audit:read", "audit:export"])
    );
    assert_eq!(home.json(&["session", "list"]).as_array().unwrap().len(), 1);
    let none = home.refused(&["session", "end", "0123456789abcdef"], 3);
    assert_eq!(none["code"], "session_not_found");
}

#[test]
fn wrong_passphrase_and_unknown_principal_look_the_same() {
    let home = Home::new();
    let wrong = home.write("wrong", "not the passphrase at all");
    let login = |who: &str, file: &str| {
        let arguments = ["keys", "list", "--as", who, "--passphrase-file", file, "-o", "json"];
        checked(home.bare(&arguments).run()).expect(6).problem()
    };
    let known = login("alice", &wrong);
    assert_eq!(known, login("mallory", &wrong));
    assert_eq!(known["code"], "login_failed");

    // A weak new passphrase is told so, before anything is made.
    let weak = home.write("weak", "short");
    let add = ["principal", "add", "bob", "--role", "signer", "--new-passphrase-file", &weak];
    home.refused(&add, 2);
    home.refused(&["principal", "show", "bob"], 3);

    // A new passphrase replaces the old one.
    let new = home.write("new", OTHER);
    home.run(&["principal", "passphrase", "--new-passphrase-file", &new]).expect(0);
    home.refused(&["keys", "list"], 6);
    home.bare(&["keys", "list", "--passphrase-file", &new]).run().expect(0);
}

#[test]
fn second_process_on_the_home_is_refused() {
    let home = Home::new();
    let lock = File::options().read(true).write(true).open(home.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let problem = home.refused(&["keys", "list"], 4);
    assert_eq!(problem["code"], "home_in_use");
    assert_eq!(home.bare(&["status"]).run().expect(4).text(), "");
    drop(lock);
    home.run(&["keys", "list"]).expect(0);
}

#[test]
fn home_is_made_once_and_missed_by_name() {
    let home = Home::new();
    let problem = home.refused(&["init", "--mfa", "none"], 4);
    assert_eq!(problem["code"], "home_exists");
    let status = home.bare(&["status", "-o", "json"]).run().expect(0).json();
    assert_eq!(status["development"], true);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let doctor = home.bare(&["doctor", "-o", "json"]).run();
    let steps = doctor.json()["steps"].clone();
    assert_eq!(
        steps[1],
        json!({
            "step": "home directory",
            "ok": true,
            "detail": format!("{}, for its owner only", home.path().display()),
        })
    );
    assert_eq!(steps[4]["ok"], true, "{steps}");

    let nowhere = tempfile::tempdir().unwrap();
    let run = crate::harness::Virtengine::new(&["keys", "list", "-o", "json"])
        .home(&nowhere.path().join("none"))
        .run()
        .expect(3);
    assert_eq!(run.problem()["code"], "no_home");
}

#[test]
fn who_calls_must_be_said_once_there_are_two_administrators() {
    let home = Home::new();
    let file = home.write("bob", OTHER);
    let add = ["principal", "add", "bob", "--role", "admin", "--new-passphrase-file", &file];
    home.run(&add).expect(0);
    let problem = home.refused(&["keys", "list"], 2);
    assert_eq!(problem["advice"][0], "add --as PRINCIPAL, or set VIRTENGINE_PRINCIPAL");
    home.command(&["keys", "list"]).env("VIRTENGINE_PRINCIPAL", "alice").run().expect(0);
    home.run(&["principal", "disable", "bob", "--as", "alice"]).expect(0);
    home.run(&["keys", "list", "--as", "alice"]).expect(0);
}
