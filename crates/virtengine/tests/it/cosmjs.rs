//! A multi-signature account of a Cosmos chain, with CosmJS on the other side.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;

use crate::home::Home;

/// The version of every package of CosmJS; 0.38 and 0.39 fail on every bech32 address with the library
/// of that which they install today.
const VERSION: &str = "0.36.2";
const PACKAGES: [&str; 5] = ["amino", "crypto", "encoding", "proto-signing", "stargate"];
const MEMBERS: [&str; 3] = ["ann", "ben", "cem"];

#[test]
fn cosmjs_has_the_same_account_and_accepts_what_its_members_signed() {
    let Some(cosmjs) = cosmjs() else { return };
    let home = Home::new();
    let mut create = vec!["multisig", "create", "joint", "--form", "cosmos", "--threshold", "2"];
    let signers = MEMBERS.map(|member| format!("{member}={member}"));
    let mut members = Vec::new();
    for (member, signer) in MEMBERS.iter().zip(&signers) {
        let key = home.json(&["keys", "add", member, "--purpose", "account"]);
        members.push(key["public_key"].clone());
        create.extend(["--signer", signer]);
    }
    let created = home.json(&create);
    let prepared = ask(&cosmjs, &json!({"ask": "prepare", "members": members, "threshold": 2}));
    assert_eq!(created["address"], prepared["address"]);

    // Also in the order they are given in, which is another account.
    let [a, b, c] = &signers;
    let unsorted = ["multisig", "create", "unsorted", "--form", "cosmos", "--nosort"];
    let given = ["--threshold", "2", "--signer", c, "--signer", a, "--signer", b];
    let unsorted = home.json(&[&unsorted[..], &given].concat());
    let turned = [&members[2], &members[0], &members[1]];
    let of = json!({"ask": "prepare", "members": turned, "threshold": 2, "nosort": true});
    assert_eq!(unsorted["address"], ask(&cosmjs, &of)["address"]);

    // As Cosmos SDK's command makes it; the same account under another name.
    let add = ["keys", "add", "again", "--multisig", "ann,ben,cem", "--multisig-threshold", "2"];
    let again = home.json(&add);
    assert_eq!((&again["type"], &again["address"]), (&json!("multi"), &created["address"]));

    let bytes = STANDARD.decode(prepared["sign_bytes"].as_str().unwrap()).unwrap();
    let transaction = home.write("transaction.json", &bytes);
    let initiate = ["multisig", "initiate", "joint", "--in", &transaction, "--description", "rent"];
    let begun = home.json(&initiate);
    assert_eq!(begun["message"]["kind"], "Cosmos transaction (amino JSON)");
    assert_eq!(begun["request"].as_str().unwrap().as_bytes(), bytes);
    let id = begun["id"].as_str().unwrap();
    // Its signatures would be those of the other: there is one.
    assert_eq!(home.refused(&initiate, 4)["code"], "transaction_exists");
    let opaque = home.write("opaque", "no transaction");
    let refused = ["multisig", "initiate", "joint", "--in", &opaque, "--description", "x"];
    assert_eq!(home.refused(&refused, 2)["code"], "transaction_invalid");

    home.run(&["multisig", "sign", id, "--key", "cem"]).expect(0);
    let signed = home.json(&["multisig", "sign", id, "--key", "ann"]);
    let done = home.json(&["multisig", "complete", id]);
    let mut signatures = Vec::new();
    for one in signed["signed"].as_array().unwrap() {
        let member = MEMBERS.iter().position(|member| one["signer"] == *member);
        signatures.push(json!({"member": member, "signature": one["signature"]}));
    }
    let answer = ask(
        &cosmjs,
        &json!({
            "ask": "check", "members": members, "threshold": 2, "signatures": signatures,
            "final_signature": done["final_signature"], "signer_info": done["signer_info"],
        }),
    );
    assert_eq!(answer["verified"], json!([true, true]));
    assert_eq!(answer["refuses_another"], true);
    assert_eq!(answer["final_signature"], done["final_signature"]);
    assert_eq!(answer["signer_info"], done["signer_info"]);
}

/// Where CosmJS is, installed from the package registry the first time; nothing where that cannot be.
fn cosmjs() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cosmjs-{VERSION}"));
    if place.join("whole").is_file() {
        return Some(place);
    }
    std::fs::create_dir_all(&place).unwrap();
    let packages = PACKAGES.map(|name| format!("@cosmjs/{name}@{VERSION}"));
    let options = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    let installed =
        Command::new("npm").args(options).arg(&place).args(packages).current_dir(&place).output();
    if installed.as_ref().is_ok_and(|output| output.status.success()) {
        std::fs::write(place.join("whole"), "").unwrap();
        return Some(place);
    }
    assert!(std::env::var_os("CI").is_none(), "CosmJS cannot be installed: {installed:?}");
    eprintln!("SKIPPED: CosmJS cannot be installed (npm and a package registry are needed)");
    None
}

fn ask(cosmjs: &Path, question: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cosmjs.mjs");
    let mut node = Command::new("node")
        .arg(script)
        .arg(cosmjs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts, as npm did");
    node.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "cosmjs.mjs failed on {question}");
    serde_json::from_slice(&output.stdout).unwrap()
}
