//! Every operation without a session, with one that is over, and with each role: exactly the
//! specification's table. Attack 8.

use std::fmt::Write;

use kms::access::Permission;
use kms_api::Operation;
use kms_api::Visitor;
use kms_api::every;
use serde_json::Value;
use serde_json::json;

use crate::daemon::Answer;
use crate::daemon::Daemon;
use crate::daemon::PASSPHRASE;

const ROLES: [&str; 5] = ["admin", "operator", "auditor", "signer", "responder"];

/// The table as it was agreed on. A change of it is a change of who may do what.
const AGREED: &str = include_str!("../permissions.txt");

/// The public key of RFC 8032 section 7.1, test 1, as a SubjectPublicKeyInfo.
const SPKI: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// The same, its bytes alone.
const PUBLIC_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// A seed of Ed25519.
const SEED: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// One operation, as the wire knows it.
struct Entry {
    name: &'static str,
    method: &'static str,
    route: &'static str,
    has_body: bool,
    needs: Option<Permission>,
}

struct List(Vec<Entry>);

impl Visitor for List {
    fn operation<O: Operation>(&mut self) {
        self.0.push(Entry {
            name: O::NAME,
            method: O::METHOD.name(),
            route: O::ROUTE,
            has_body: O::METHOD.has_body(),
            needs: O::NEEDS,
        });
    }
}

#[test]
fn every_route_admits_exactly_the_roles_of_the_table() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    for role in ROLES {
        let scope = json!([{"role": role, "scope": "all"}]);
        let new = json!({"name": format!("the-{role}"), "roles": scope, "passphrase": PASSPHRASE});
        daemon.post("/v1/principals", &admin, new).expect(200);
    }
    let sessions = ROLES.map(|role| daemon.login(&format!("the-{role}")));
    let mut list = List(Vec::new());
    every(&mut list);
    // On this socket everyone may ask for the status, as everyone may ask the command.
    list.0.retain(|entry| entry.name != "status");
    let mut table = String::new();
    writeln!(table, "{:28} {}", "operation", ROLES.join(" ")).unwrap();
    for (number, entry) in list.0.iter().enumerate() {
        let without = ask(&daemon, entry, None, number);
        assert_eq!((without.status, &*without.code()), (401, "session_missing"), "{}", entry.name);
        write!(table, "{:28}", entry.name).unwrap();
        for (role, session) in ROLES.iter().zip(&sessions).rev() {
            let key = format!("k{number}-{role}");
            daemon.key(&admin, &key);
            let answer = ask(&daemon, entry, Some((session, &key)), number);
            let admitted = admitted(&answer, entry.name);
            if entry.name == "lock" && admitted {
                daemon.login("alice"); // who opens the keystore again
            }
            write!(table, " {}:{}", role, if admitted { "yes" } else { "no" }).unwrap();
            let holds = match entry.needs {
                None => true,
                Some(needs) => grants(role, needs),
            };
            assert!(!admitted || holds, "{} was carried out for {role}", entry.name);
        }
        table.push('\n');
    }
    if table != AGREED {
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/permissions.txt");
        std::fs::write(path, &table).unwrap();
        panic!("the table is not the agreed one; it stands in {path}:\n{table}");
    }
    daemon.clock.advance_seconds(13 * 3600);
    for (number, entry) in list.0.iter().enumerate() {
        let over = ask(&daemon, entry, Some((&sessions[0], "none")), number);
        let code = over.code();
        let refused = code == "session_ended" || code == "session_missing";
        assert!(over.status == 401 && refused, "{}: {over:?}", entry.name);
    }
}

/// Whether it was let in: whatever came of it then.
fn admitted(answer: &Answer, name: &str) -> bool {
    let mut code = answer.code();
    if name.ends_with("_batch") {
        // Each item has its own result.
        let item = &answer.json()["results"][0]["error"]["code"];
        item.as_str().unwrap_or_default().clone_into(&mut code);
    }
    assert!(answer.status < 500, "{name}: {answer:?}");
    assert!(answer.status != 401 || !code.starts_with("session_"), "{name}: {answer:?}");
    assert_ne!(code, "request_invalid", "{name}: {answer:?}");
    code != "permission_denied"
}

/// The specification's default roles, and the responder.
fn grants(role: &str, permission: Permission) -> bool {
    let granted: &[&str] = match role {
        "admin" => return true,
        "operator" => &["key:create", "key:read", "key:sign", "key:rotate", "hsm:access"],
        "auditor" => &["key:read", "audit:read", "audit:export"],
        "signer" => &["key:read", "key:sign", "multisig:sign"],
        "responder" => &["key:read", "key:suspend", "compromise:report", "compromise:manage"],
        _ => &[],
    };
    granted.contains(&permission.name())
}

fn ask(daemon: &Daemon, entry: &Entry, who: Option<(&str, &str)>, number: usize) -> Answer {
    let (session, key) = who.map_or((None, "none"), |(session, key)| (Some(session), key));
    let what = sample(entry.name, key, number);
    let path = entry
        .route
        .replace("{key}", key)
        .replace("{principal}", "nobody")
        .replace("{role}", "some-role")
        .replace("{policy}", "some-policy")
        .replace("{session}", "0123456789abcdef")
        .replace("{permission}", "key:read")
        .replace("{multisig}", "some-multisig")
        .replace("{operation}", "o-00000000000000000000000000000000")
        .replace("{rule}", "some-rule");
    if entry.has_body {
        return daemon.ask(entry.method, &path, session, &what.to_string());
    }
    let query: Vec<String> = what
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
    daemon.ask(entry.method, &path, session, "")
}

/// What is sent. An operation that is new stands here too.
fn sample(name: &str, key: &str, number: usize) -> Value {
    match name {
        "keys.sign" => json!({"message": "aGVsbG8="}),
        "keys.sign_batch" => json!({"items": [{"message": "aGVsbG8="}]}),
        "keys.verify" => json!({"message": "aGVsbG8=", "signature": "AAAA"}),
        "keys.verify_batch" => json!({"items": [{"message": "aGVsbG8=", "signature": "AAAA"}]}),
        "keys.generate" => json!({"name": format!("made-{number}-{key}")}),
        "keys.register" => json!({"name": "reg", "public_key": SPKI}),
        "keys.import" => {
            json!({"name": "imp", "material": SEED, "format": "raw", "algorithm": "ed25519"})
        }
        "keys.rename" => json!({"name": format!("renamed-{number}-{key}")}),
        "keys.rotate_to" => json!({"successor": key, "reason": "test"}),
        "policies.set" => json!({"name": "some-policy-set"}),
        "principals.create" => json!({
            "name": "newcomer", "passphrase": "x",
            "roles": [{"role": "signer", "scope": {"only": {"labels": ["a-*"]}}}],
        }),
        "principals.set_attestations" => json!({"attestations": ["uid:12345"]}),
        "principals.set_roles" => json!({"roles": []}),
        "principals.reset_passphrase" => json!({"new": "another passphrase 123"}),
        "self.change_passphrase" => json!({"old": "wrong", "new": "another passphrase 123"}),
        "self.enroll_mfa" => json!({"passphrase": "wrong"}),
        "roles.set" => json!({"permissions": ["key:read"]}),
        "audit.report" => json!({"since": "2026-01-01T00:00:00Z"}),
        "multisig.create" => json!({
            "name": format!("joint-{number}-{key}"), "description": "test", "threshold": 1,
            "timeout_s": 60,
            "signers": [{"label": "a", "algorithm": "ed25519", "public_key": PUBLIC_KEY}],
        }),
        "multisig.initiate" => json!({"message": "aGVsbG8=", "description": "test"}),
        "multisig.sign" => json!({"key": key}),
        "multisig.add_signature" => json!({"signer": "a", "signature": "AAAA"}),
        "multisig.cancel" => json!({"reason": "test"}),
        "approvals.set_rule" => json!({"acts": ["destroy"], "scope": "all", "quorum": "nobody"}),
        "validator.begin" | "validator.confirm" => {
            json!({"chain_id": "c-1", "height": 1, "reason": "test"})
        }
        "validator.stop_at" | "validator.hand_over" => {
            json!({"chain_id": "c-1", "reason": "test"})
        }
        moved if moved.starts_with("keys.") && !is_read(moved) => json!({"reason": "test"}),
        _ => json!({}),
    }
}

fn is_read(name: &str) -> bool {
    matches!(name, "keys.list" | "keys.show" | "keys.public" | "keys.history")
}
