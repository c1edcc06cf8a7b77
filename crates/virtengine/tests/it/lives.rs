//! Keys move through their lives, and severe moves are confirmed first.

use serde_json::Value;
use serde_json::json;

use crate::home::Home;

fn states(history: &Value) -> Vec<&str> {
    history.as_array().unwrap().iter().map(|step| step["to"].as_str().unwrap()).collect()
}

#[test]
fn key_is_suspended_reactivated_rotated_and_archived() {
    let home = Home::new();
    let old = home.json(&["keys", "add", "k", "--inactive"]);
    assert_eq!(old["state"], "created");
    let id = old["id"].as_str().unwrap();
    assert_eq!(home.json(&["keys", "activate", "k"])["state"], "active");
    assert_eq!(home.json(&["keys", "suspend", "k", "--reason", "looks odd"])["state"], "suspended");
    let problem = home.refused(&["sign", "k", "--empty"], 10);
    assert!(problem["message"].as_str().unwrap().contains("suspended"), "{problem}");
    assert_eq!(home.json(&["keys", "reactivate", "k", "--reason", "was fine"])["state"], "active");

    let new = home.json(&["keys", "rotate", "k", "--reason", "yearly"]);
    assert_eq!(new["name"], "k");
    assert_eq!(new["predecessor"], old["id"]);
    assert_ne!(new["id"], old["id"]);
    assert_eq!(home.json(&["keys", "show", id])["state"], "rotating");
    assert_eq!(home.json(&["keys", "complete-rotation", id])["state"], "deactivated");

    // Within its grace period a key is neither archived nor destroyed.
    home.refused(&["keys", "migrate", id, "--archive"], 10);
    let history = home.json(&["keys", "history", id]);
    let expected = ["created", "active", "suspended", "active", "rotating", "deactivated"];
    assert_eq!(states(&history), expected);
    assert_eq!(history[2]["from"], "active");
    assert_eq!(history[2]["reason"], "looks odd");

    // A rotation that is not complete can be undone.
    let newer = home.json(&["keys", "rotate", "k"]);
    let current = newer["predecessor"].as_str().unwrap();
    assert_eq!(home.json(&["keys", "abort-rotation", current])["state"], "active");

    let report = home.json(&["lifecycle", "report"]);
    assert_eq!(report["total_keys"], 3);
    // The first key, and the successor whose rotation was undone.
    assert_eq!(report["by_state"]["deactivated"], 2);
    assert_eq!(report["by_algorithm"]["ed25519"], 3);
    assert_eq!(report["by_policy"]["default"], 3);
    for field in ["active_keys", "expiring_keys", "rotation_needed"] {
        assert!(report[field].is_u64(), "{report}");
    }
}

#[test]
fn destruction_is_confirmed_ordered_cancelled_and_done() {
    let home = Home::new();
    home.json(&["keys", "add", "my key", "--inactive"]);
    let destroy = ["keys", "destroy", "my key", "--reason", "never used"];

    // What cannot be undone needs the name again; an order can be cancelled, so it does not. A name
    // that is given must be the right one.
    let at_once = [&destroy[..], &["--now"]].concat();
    let problem = home.refused(&at_once, 2);
    assert_eq!(problem["code"], "confirmation_required");
    assert_eq!(problem["advice"], json!(["add --confirm 'my key'"]));
    for options in [&["--confirm", "other key"][..], &["--yes"]] {
        home.refused(&[&at_once[..], options].concat(), 2);
    }
    home.refused(&[&destroy[..], &["--confirm", "other key"]].concat(), 2);
    home.refused(&["keys", "compromise", "my key", "--reason", "r"], 2);

    assert!(home.json(&destroy)["destroy_at"].is_string());
    home.json(&[&destroy[..], &["--cancel"]].concat());
    let ordered = home.json(&[&destroy[..], &["--confirm", "my key"]].concat());
    assert!(ordered["destroy_at"].is_string(), "{ordered}");
    assert_ne!(ordered["state"], "destroyed");
    let kept = home.json(&[&destroy[..], &["--cancel"]].concat());
    assert_eq!(kept["destroy_at"], Value::Null);
    let ordered = home.json(&["keys", "delete", "my key", "-y"]);
    assert!(ordered["destroy_at"].is_string());

    let files = |home: &Home| {
        home.files().iter().filter(|p| p.to_str().unwrap().contains("/keystore/")).count()
    };
    let before = files(&home);
    let now = [&destroy[..], &["--now", "--confirm", "my key"]].concat();
    let would = home.json(&[&destroy[..], &["--now", "--dry-run"]].concat());
    assert_eq!(would["would"], "destroy at once my key (now created)");
    let gone = home.json(&now);
    assert_eq!(gone["state"], "destroyed");
    assert_eq!(files(&home), before - 1);
    let id = gone["id"].as_str().unwrap();
    assert_eq!(home.json(&["keys", "show", id])["state"], "destroyed");
}

#[test]
fn compromised_key_never_signs_again() {
    let home = Home::new();
    home.json(&["keys", "add", "k"]);
    let marked =
        home.json(&["keys", "compromise", "k", "--reason", "seen on a forum", "--confirm", "k"]);
    assert_eq!(marked["state"], "compromised");
    home.refused(&["sign", "k", "--empty"], 10);
    home.refused(&["keys", "reactivate", "k", "--reason", "please"], 10);
}
