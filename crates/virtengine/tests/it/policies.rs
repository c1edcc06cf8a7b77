//! Lifecycle policies: built in, registered, configured.

use std::fs;

use serde_json::json;

use crate::home::Home;

#[test]
fn policies_are_set_shown_used_and_removed() {
    let home = Home::new();
    let listed = home.json(&["policy", "list"]);
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names, ["default", "high-security", "validator"]);
    let standard = home.json(&["policy", "show", "default"]);
    assert_eq!(standard["max_active_age_days"], 365);
    assert_eq!(standard["expiration_days"], 730);

    let set = ["policy", "set", "short", "--max-active-age-days", "10", "--expiration-days", "20"];
    let set = home.json(&[&set[..], &["--grace-period-days", "5", "--require-mfa=false"]].concat());
    assert_eq!(set["max_active_age_days"], 10);
    assert_eq!(set["require_mfa"], false);
    let key = home.json(&["keys", "add", "k", "--policy", "short"]);
    assert!(key["expires_at"].is_string());
    assert!(key["rotate_by"].as_str() < key["expires_at"].as_str());
    home.refused(&["policy", "remove", "short"], 4);
    home.refused(&["policy", "show", "none"], 3);
    home.refused(&["policy", "remove", "default"], 4);

    let wrong = ["policy", "set", "w", "--expiration-days", "5", "--warning-days-before-exp", "9"];
    home.refused(&wrong, 2);
    let dry = home.json(&["policy", "set", "dry", "--dry-run"]);
    assert_eq!(dry, json!({"dry_run": true, "would": "set policy dry"}));
    home.refused(&["policy", "show", "dry"], 3);

    // One of the configuration.
    let text = "[[policy]]\nname = \"configured\"\nmax_active_age_days = 7\nrequire_mfa = false\n";
    fs::write(home.path().join("config.toml"), text).unwrap();
    assert_eq!(home.json(&["policy", "show", "configured"])["max_active_age_days"], 7);
}
