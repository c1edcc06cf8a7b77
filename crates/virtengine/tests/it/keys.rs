//! Keys: made, shown, listed, renamed, exported, taken in.

use std::fs;

use serde_json::Value;
use serde_json::json;

use crate::home::Home;
use crate::home::read;

/// RFC 8032 section 7.1, test 1.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

#[test]
fn key_is_shown_as_the_interface_says() {
    let home = Home::new();
    let key = home.json(&["keys", "add", "val", "--purpose", "consensus"]);
    let fields: Vec<&String> = key.as_object().unwrap().keys().collect();
    for field in [
        "name",
        "type",
        "address",
        "pubkey",
        "id",
        "algorithm",
        "purpose",
        "state",
        "storage",
        "fingerprint",
        "public_key",
        "created_at",
        "activated_at",
        "expires_at",
        "rotate_by",
        "policy",
        "successor",
        "predecessor",
    ] {
        assert!(fields.iter().any(|f| *f == field), "no {field}");
    }
    assert_eq!(key["name"], "val");
    assert_eq!(key["type"], "local");
    assert_eq!(key["algorithm"], "ed25519");
    assert_eq!(key["purpose"], "consensus");
    assert_eq!(key["state"], "active");
    assert_eq!(key["storage"], "file");
    assert_eq!(key["policy"], "validator");
    assert_eq!(key["successor"], Value::Null);
    assert!(key["address"].as_str().unwrap().starts_with("vevalcons1"));
    assert_eq!(key["address_hex"].as_str().unwrap().len(), 40);
    assert_eq!(key["fingerprint"].as_str().unwrap().len(), 64);
    let cosmos: Value = serde_json::from_str(key["pubkey"].as_str().unwrap()).unwrap();
    let expected = json!({"@type": "/cosmos.crypto.ed25519.PubKey", "key": key["public_key"]});
    assert_eq!(cosmos, expected);

    // The first five fields stand in Cosmos SDK's order, and by id it is the same key.
    let id = key["id"].as_str().unwrap();
    let run = home.run(&["keys", "show", id, "-o", "json"]).expect(0);
    assert!(run.text().starts_with("{\"name\":\"val\",\"type\":\"local\",\"address\":\""));
    assert_eq!(run.json(), key);

    // An account has a bech32 address and a secp256k1 key unless told otherwise.
    let account = home.json(&["keys", "add", "me", "--purpose", "account"]);
    assert_eq!(account["algorithm"], "secp256k1");
    assert!(account["address"].as_str().unwrap().starts_with("ve1"));
    let address = home.run(&["keys", "show", "me", "-a"]).expect(0);
    assert_eq!(address.text().trim(), account["address"]);
    let pubkey = home.run(&["keys", "show", "me", "-p"]).expect(0);
    assert_eq!(pubkey.text().trim(), account["pubkey"]);

    // Neither name is taken twice, nor its other spelling.
    assert_eq!(home.refused(&["keys", "add", "VAL"], 4)["code"], "key_exists");

    let listed = home.json(&["keys", "list"]);
    let names: Vec<&Value> = listed.as_array().unwrap().iter().map(|key| &key["name"]).collect();
    assert_eq!(names, ["me", "val"]);
    assert_eq!(home.json(&["keys", "list", "--purpose", "account"])[0], account);
    assert_eq!(home.json(&["keys", "list", "--state", "suspended"]), json!([]));
    assert_eq!(home.run(&["keys", "list", "-n"]).expect(0).text(), "me\nval\n");
    let table = home.run(&["keys", "list"]).expect(0);
    assert!(table.text().starts_with("NAME  STATE   PURPOSE"), "{}", table.text());
    let yaml = home.run(&["keys", "list", "-n", "-o", "yaml"]).expect(0);
    assert_eq!(yaml.text(), "- me\n- val\n");

    // Renaming keeps the key.
    let renamed = home.json(&["keys", "rename", "val", "validator 1"]);
    assert_eq!((&renamed["name"], &renamed["id"]), (&json!("validator 1"), &key["id"]));
    let problem = home.refused(&["keys", "show", "val"], 3);
    assert_eq!(problem["code"], "key_not_found");
    let near = home.refused(&["keys", "show", "validator 2"], 3);
    assert!(near["advice"].to_string().contains("validator 1"), "{near}");
}

#[test]
fn public_half_is_exported_in_every_form() {
    let home = Home::new();
    let file = home.write("seed", hex::decode(SEED).unwrap());
    let key = home.json(&["keys", "import", "k", &file, "--format", "raw", "--algo", "ed25519"]);
    assert_eq!(key["origin"], "imported");
    let export = |form: &str| home.run(&["keys", "export", "k", "--format", form]).expect(0).stdout;
    assert_eq!(export("raw"), hex::decode(PUBLIC).unwrap());
    assert_eq!(export("hex"), format!("{PUBLIC}\n").into_bytes());
    let spki = [&hex::decode("302a300506032b6570032100").unwrap()[..], &export("raw")].concat();
    assert_eq!(export("spki"), spki);
    let pem = "-----BEGIN PUBLIC KEY-----\n\
               MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
               -----END PUBLIC KEY-----\n";
    assert_eq!(String::from_utf8(export("pem")).unwrap(), pem);
    assert_eq!(home.run(&["keys", "show", "k", "--pem"]).expect(0).text(), pem);
    assert!(export("ssh").starts_with(b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"));
    assert!(export("cosmos").starts_with(b"{\"@type\":\"/cosmos.crypto.ed25519.PubKey\""));

    // Into a file, never over one.
    let out = home.file_name("public.pem");
    home.run(&["keys", "export", "k", "--out", &out]).expect(0);
    assert_eq!(read(&out), pem);
    fs::write(&out, "mine").unwrap();
    home.refused(&["keys", "export", "k", "--out", &out], 4);
    assert_eq!(read(&out), "mine");
}

#[test]
fn private_keys_are_taken_in_from_files_and_stdin() {
    let home = Home::new();
    let seed = hex::decode(SEED).unwrap();

    // As OpenSSL writes it: PKCS#8 DER.
    let der = [&hex::decode("302e020100300506032b657004220420").unwrap()[..], &seed].concat();
    let file = home.write("key.der", der);
    let key = home.json(&["keys", "import", "pkcs8", &file, "--format", "pkcs8"]);
    assert_eq!(key["algorithm"], "ed25519");
    assert_eq!(key["public_key"], base64(&hex::decode(PUBLIC).unwrap()));

    // The same key again is refused, under any name and in any form.
    let again = ["keys", "import-hex", "again", "--algo", "ed25519", "-o", "json"];
    let run = home.command(&again).stdin(format!("0x{SEED}\n")).run().expect(4);
    assert_eq!(run.problem()["code"], "key_exists");

    // Hex from stdin, from a file, and in Cosmos SDK's form, which is warned about.
    let hex1 = "11".repeat(32);
    let run =
        home.command(&["keys", "import-hex", "one"]).stdin(format!("{hex1}\n")).run().expect(0);
    assert!(!run.stderr.contains(&hex1) && !run.text().contains(&hex1));
    let file = home.write("hex", "22".repeat(32));
    assert_eq!(home.json(&["keys", "import-hex", "two", "--in", &file])["algorithm"], "secp256k1");
    let run = home.run(&["keys", "import-hex", "three", &"33".repeat(32)]).expect(0);
    assert!(run.stderr.contains("command line"), "{}", run.stderr);
    assert!(!run.stderr.contains("3333"));

    // CometBFT's file, whose two halves must belong together.
    let pair = [&seed[..], &hex::decode(PUBLIC).unwrap()].concat();
    let forged = [&seed[..], &[7; 32]].concat();
    let privval = |public: &str, private: &[u8]| {
        json!({
            "address": "21DBFB9F1A2C5D9E07F4D4B4E1C1C1D7B9B6C2B3",
            "pub_key": {"type": "tendermint/PubKeyEd25519", "value": public},
            "priv_key": {"type": "tendermint/PrivKeyEd25519", "value": base64(private)},
        })
        .to_string()
    };
    let public = base64(&hex::decode(PUBLIC).unwrap());
    let import = ["keys", "import", "pv", "--format", "privval", "--purpose", "consensus"];
    for bad in [privval(&base64(&[7; 32]), &pair), privval(&public, &forged)] {
        let file = home.write("privval.json", bad);
        let problem = home.refused(&[&import[..], &[&file]].concat(), 8);
        assert_eq!(problem["code"], "public_key_mismatch", "{problem}");
    }

    // What is no key, or too long, or not there.
    let file = home.write("junk", "junk");
    assert_eq!(home.refused(&["keys", "import", "j", &file], 2)["code"], "key_file_invalid");
    let file = home.write("long", vec![b'a'; 20_000]);
    home.refused(&["keys", "import", "j", &file], 2);
    home.refused(&["keys", "import", "j", "/nonexistent"], 3);
    let file = home.write("zero", "00".repeat(32));
    home.refused(&["keys", "import-hex", "j", "--in", &file], 2);
}

#[test]
fn key_kept_elsewhere_has_a_life_here_but_never_signs() {
    let home = Home::new();
    let pem = "-----BEGIN PUBLIC KEY-----\n\
               MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
               -----END PUBLIC KEY-----\n";
    let file = home.write("public.pem", pem);
    let add = ["keys", "add", "cold", "--public-key", &file];
    let key = home.json(&add);
    assert_eq!((&key["type"], &key["origin"]), (&json!("offline"), &json!("registered")));
    assert_eq!(key["public_key"], base64(&hex::decode(PUBLIC).unwrap()));
    assert_eq!(home.json(&["keys", "activate", "cold"])["state"], "active");
    assert_eq!(home.refused(&["sign", "cold", "--empty"], 7)["code"], "private_key_elsewhere");
    home.refused(&[&add[..], &["--algo", "p256"]].concat(), 2);
    let file = home.write("junk", "junk");
    home.refused(&["keys", "add", "junk", "--public-key", &file], 2);
}

#[test]
fn what_cannot_be_made_is_refused_with_its_reason() {
    let home = Home::new();
    let problem = home.refused(&["keys", "add", "m", "--storage", "memory"], 2);
    assert_eq!(problem["code"], "memory_not_kept");
    home.refused(&["keys", "add", "h", "--storage", "hsm:none"], 7);
    home.refused(&["keys", "add", "p", "--policy", "none"], 3);
    home.refused(&["keys", "add", "c", "--purpose", "consensus", "--algo", "rsa2048"], 2);
    assert_eq!(home.json(&["keys", "list"]), json!([]));
    let dry = home.json(&["keys", "add", "dry", "--dry-run"]);
    assert_eq!(dry, json!({"dry_run": true, "would": "make the ed25519 key dry"}));
    assert_eq!(home.json(&["keys", "list"]), json!([]));
    let types = home.json(&["keys", "list-key-types"]);
    assert_eq!(types[0]["algorithm"], "ed25519");
    assert_eq!(types.as_array().unwrap().len(), 5);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
