//! Signatures: every algorithm, every encoding, and what is refused.

use serde_json::json;

use crate::home::Home;

#[test]
fn every_algorithm_signs_and_verifies_in_each_of_its_encodings() {
    let home = Home::new();
    let message = home.write("message", "a message");
    let other = home.write("other", "another message");
    for (algorithm, encodings, length) in [
        ("ed25519", &["hex", "base64"][..], 64),
        ("secp256k1", &["hex", "der", "rsv"], 64),
        ("p256", &["base64", "der"], 64),
        ("rsa2048", &["hex"], 256),
    ] {
        let key = home.json(&["keys", "add", algorithm, "--algo", algorithm]);
        for encoding in encodings {
            let options = ["--in", &message, "--encoding", encoding];
            let signed = home.json(&[&["sign", algorithm], &options[..]].concat());
            assert_eq!(signed["key_id"], key["id"]);
            assert_eq!(signed["algorithm"], algorithm);
            assert_eq!(signed["encoding"], *encoding);
            let signature = signed["signature"].as_str().unwrap();
            match *encoding {
                "hex" => assert_eq!(signature.len(), 2 * length),
                "rsv" => assert_eq!(signature.len(), 130),
                _ => {}
            }
            let verify = ["verify", algorithm, "--signature", signature, "--encoding", encoding];
            let good = home.json(&[&verify[..], &["--in", &message]].concat());
            assert_eq!(good, json!({"valid": true}));
            // Without an encoding, what it looks like counts.
            let good = home.run(&[&verify[..4], &["--in", &message]].concat()).expect(0);
            assert_eq!(good.text(), "valid\n");
            let bad = home.run(&[&verify[..], &["--in", &other, "-o", "json"]].concat()).expect(8);
            assert_eq!(bad.json(), json!({"valid": false}));
        }
    }
    // Text of one encoding is no signature in another.
    home.run(&["verify", "ed25519", "--signature", "zz", "--in", &message]).expect(8);
    let problem = home.refused(&["sign", "ed25519", "--in", &message, "--encoding", "der"], 2);
    assert!(problem["message"].as_str().unwrap().contains("no encoding `der`"), "{problem}");
    home.refused(&["sign", "p256", "--in", &message, "--encoding", "rsv"], 2);
}

#[test]
fn signature_alone_comes_out_without_json() {
    let home = Home::new();
    home.json(&["keys", "add", "k", "--algo", "secp256k1"]);
    let raw = home.command(&["sign", "k", "--encoding", "raw"]).stdin("abc").run().expect(0);
    assert_eq!(raw.stdout.len(), 64);
    let hex = home.command(&["sign", "k", "--encoding", "hex"]).stdin("abc").run().expect(0);
    // RFC 6979: the same message gives the same signature.
    assert_eq!(hex.text(), format!("{}\n", hex::encode(&raw.stdout)));
    let der = home.command(&["sign", "k", "--in", "-", "--encoding", "der"]).stdin("abc").run();
    let file = home.write("sig.der", der.expect(0).stdout);
    let raw_file = home.write("sig.raw", &raw.stdout);
    let verify = ["verify", "k", "--signature-file", &raw_file];
    home.command(&verify).stdin("abc").run().expect(0);
    let verify = ["verify", "k", "--signature-file", &file, "--encoding", "der"];
    assert_eq!(home.command(&verify).stdin("abc").run().expect(0).text(), "valid\n");
    assert_eq!(home.command(&verify).stdin("abd").run().expect(8).text(), "NOT valid\n");

    // Another hash and a digest are other signatures, and verify only as what they are.
    let keccak = ["sign", "k", "--encoding", "hex", "--hash", "keccak256"];
    let keccak = home.command(&keccak).stdin("abc").run().expect(0);
    assert_ne!(keccak.text(), hex.text());
    let digest = home.write(
        "digest",
        hex::decode("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap(),
    );
    let prehashed = ["sign", "k", "--in", &digest, "--prehashed", "--encoding", "hex"];
    assert_eq!(home.run(&prehashed).expect(0).text(), hex.text());
    home.refused(&["sign", "k", "--in", &home.write("short", "x"), "--prehashed"], 2);
}

#[test]
fn message_must_be_there_and_an_empty_one_must_be_said() {
    let home = Home::new();
    home.json(&["keys", "add", "k"]);
    assert_eq!(home.refused(&["sign", "k"], 2)["code"], "message_missing");
    assert_eq!(home.refused(&["sign", "k", "--in", "/dev/null"], 2)["code"], "message_missing");
    home.refused(&["sign", "k", "--in", "/nonexistent"], 3);
    let signed = home.json(&["sign", "k", "--empty"]);
    let signature = signed["signature"].as_str().unwrap();
    assert_eq!(home.json(&["verify", "k", "--empty", "--signature", signature])["valid"], true);
    let long = home.write("long", vec![0; (16 << 20) + 1]);
    assert_eq!(home.refused(&["sign", "k", "--in", &long], 2)["code"], "message_too_long");

    // Passphrase and message do not share stdin.
    let run = home.bare(&["sign", "k", "--passphrase-file", "-", "-o", "json"]).stdin("p\n").run();
    let problem = run.expect(2).problem();
    assert_eq!(problem["message"], "passphrase and input cannot both come from stdin");
}

#[test]
fn rsa_paddings_and_consensus_keys_are_kept_apart() {
    let home = Home::new();
    let message = home.write("message", "m");
    home.json(&["keys", "add", "r", "--algo", "rsa2048"]);
    let signed = home.json(&["sign", "r", "--in", &message, "--padding", "pkcs1v15"]);
    let verify =
        ["verify", "r", "--in", &message, "--signature", signed["signature"].as_str().unwrap()];
    home.run(&[&verify[..], &["--padding", "pkcs1v15"]].concat()).expect(0);
    home.run(&verify).expect(8);

    home.json(&["keys", "add", "val", "--purpose", "consensus"]);
    home.refused(&["sign", "val", "--in", &message], 10);
}
