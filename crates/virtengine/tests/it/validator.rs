//! A validator's key and state, taken in, shown, confirmed and handed over; and the signer that runs
//! with the daemon.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;

use serde_json::Value;
use serde_json::json;

use crate::home::Home;
use crate::serving::Serving;

/// The key of the seed `11`×32, as CometBFT writes it.
const KEY: &str = include_str!("../../../kms-formats/testdata/cometbft/ed25519.json");
const PUBLIC_KEY: &str = "0EqyMnQrtKs6E2i9RhXk5tAiSrcaAWuvhSCjMsl3hzc=";

fn import(home: &Home, state: &str) -> Value {
    let key = home.write("priv_validator_key.json", KEY);
    let state = home.write("priv_validator_state.json", state);
    let import = ["validator", "import", "val", "--key-file", &key, "--state-file", &state];
    home.json(&[&import[..], &["--chain-id", "c-1", "--reason", "moved here"]].concat())
}

#[test]
fn key_and_state_of_another_signer_come_in_together_and_are_shown() {
    let home = Home::new();
    let state = import(&home, r#"{"height":"100","round":2,"step":3}"#);
    assert_eq!(
        (&state["height"], &state["round"], &state["step"]),
        (&json!(100), &json!(2), &json!(3))
    );
    assert_eq!((&state["chain_id"], &state["usable"]), (&json!("c-1"), &json!(true)));
    let key = home.json(&["keys", "show", "val"]);
    assert_eq!((&key["purpose"], &key["public_key"]), (&json!("consensus"), &json!(PUBLIC_KEY)));
    assert_eq!(home.json(&["validator", "status"]), json!([state]));
    // As CometBFT's own commands, under all three names.
    for name in ["comet", "cometbft", "tendermint"] {
        let shown = home.run(&[name, "show-validator"]).expect(0).json();
        let expected = json!({ "@type": "/cosmos.crypto.ed25519.PubKey", "key": PUBLIC_KEY });
        assert_eq!(shown, expected);
    }
    let address = home.run(&["comet", "show-address"]).expect(0);
    assert_eq!(address.text().trim(), key["address"].as_str().unwrap());
    assert!(address.text().starts_with("vevalcons1"));
    // Once is once: what was signed is not begun anew.
    let again = ["validator", "state", "init", "val", "--chain-id", "c-1", "--height", "0"];
    let problem = home.refused(&[&again[..], &["--reason", "again"]].concat(), 4);
    assert_eq!(problem["code"], "state_exists");
}

#[test]
fn import_of_a_state_that_is_none_makes_no_key() {
    let home = Home::new();
    let key = home.write("key.json", KEY);
    for state in ["", "{}", r#"{"height":"-1","round":0,"step":0}"#] {
        let state = home.write("state.json", state);
        let import = ["validator", "import", "val", "--key-file", &key, "--state-file", &state];
        let import = [&import[..], &["--chain-id", "c-1", "--reason", "moved"]].concat();
        assert_eq!(home.refused(&import, 2)["code"], "state_invalid");
    }
    assert_eq!(home.json(&["keys", "list"]), json!([]));
}

#[test]
fn state_of_tmkms_is_counted_its_way_and_a_key_may_be_on_several_chains() {
    let home = Home::new();
    import(&home, r#"{"height":"100","round":"0","step":1,"block_id":null}"#);
    let state = home.write("horcrux.json", r#"{"height":"7","round":"1","step":2,"signature":""}"#);
    let import = ["validator", "state", "import", "val", &state, "--chain-id", "c-2"];
    home.json(&[&import[..], &["--reason", "another chain"]].concat());
    let states = home.json(&["validator", "state", "list"]);
    let steps: Vec<_> = states.as_array().unwrap().iter().map(|s| s["step"].clone()).collect();
    assert_eq!(steps, [2, 2]);
}

#[test]
fn hand_over_prints_the_state_for_the_other_signer_and_ends_signing_here() {
    let home = Home::new();
    import(&home, r#"{"height":"100","round":2,"step":3}"#);
    let on = ["val", "--chain-id", "c-1"];
    let exported = home.run(&[&["validator", "state", "export"], &on[..]].concat()).expect(0);
    assert_eq!(exported.json(), json!({ "height": "100", "round": 2, "step": 3 }));
    let hand_over = [&["validator", "hand-over"], &on[..], &["--reason", "new machine"]].concat();
    assert_eq!(home.run(&hand_over).expect(0).json(), exported.json());
    let state = &home.json(&["validator", "status"])[0];
    assert_eq!((&state["handed_over"], &state["usable"]), (&json!(true), &json!(false)));
    let confirm = |height| {
        let why = ["--height", height, "--reason", "back again"];
        [&["validator", "state", "confirm"], &on[..], &why].concat()
    };
    assert_eq!(home.refused(&confirm("99"), 10)["code"], "state_lowering");
    assert_eq!(home.json(&confirm("150"))["height"], 150);
    let stop = [&["validator", "state", "stop-at"], &on[..], &["--height", "200", "--reason", "x"]];
    assert_eq!(home.json(&stop.concat())["stop_at"], 200);
}

#[test]
fn questions_about_no_validator_say_what_to_do() {
    let home = Home::new();
    let problem = home.refused(&["comet", "show-validator"], 3);
    assert_eq!(problem["code"], "key_not_found");
    home.json(&["keys", "add", "acct", "--purpose", "account"]);
    let problem = home.refused(&["comet", "show-address", "--key", "acct"], 10);
    assert_eq!(problem["code"], "consensus_key");
    let problem = home.refused(&["comet", "show-node-id"], 3);
    assert_eq!(problem["code"], "connection_not_found");
    let unknown = ["validator", "state", "export", "acct", "--chain-id", "c-1"];
    assert_eq!(home.refused(&unknown, 3)["code"], "state_missing");
}

/// What a node asks: a prevote for nil on chain `c-1`.
pub(crate) fn prevote(height: u8) -> Vec<u8> {
    let vote = [0x08, 1, 0x10, height, 0x2a, 6, 0x08, 0x80, 0xe2, 0xcf, 0xaa, 0x06];
    let length = u8::try_from(vote.len()).unwrap();
    let request = [&[0x0a, length][..], &vote, &[0x12, 3], b"c-1"].concat();
    let inner = u8::try_from(request.len()).unwrap();
    [&[inner + 2, 0x1a, inner][..], &request].concat()
}

/// What it is answered.
pub(crate) fn message(stream: &mut UnixStream) -> Vec<u8> {
    let mut length = [0];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(length[0])];
    stream.read_exact(&mut message).unwrap();
    message
}

#[test]
fn daemon_signs_for_the_nodes_of_its_configuration_and_counts_it() {
    let home = Home::new();
    import(&home, r#"{"height":"100","round":2,"step":3}"#);
    let socket = home.file("privval.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let config = format!(
        "[[validator]]\nconnection = \"sentry-1\"\nchain_id = \"c-1\"\nkey = \"val\"\n\
         address = \"unix://{}\"\ndialect = \"v0.38\"\n",
        socket.display()
    );
    std::fs::write(home.path().join("config.toml"), config).unwrap();
    let node_id = home.run(&["comet", "show-node-id"]).expect(0);
    assert_eq!(node_id.text().trim().len(), 40);
    let mut daemon = Serving::unlocked(&home, &[]);
    let (mut node, _) = listener.accept().unwrap();
    daemon.journal("validator connected");
    node.write_all(&[2, 0x3a, 0]).unwrap();
    assert_eq!(message(&mut node), [0x42, 0]);
    // A prevote for nil at height 101, and what conflicts with it: an earlier one.
    node.write_all(&prevote(101)).unwrap();
    let signed = message(&mut node);
    assert_eq!(signed[2], 0x0a, "a vote, and no refusal: {signed:?}");
    node.write_all(&prevote(100)).unwrap();
    let refused = String::from_utf8_lossy(&message(&mut node)).into_owned();
    assert!(refused.contains("which was signed already"), "{refused}");
    let told = daemon.journal("refused to sign");
    assert!(told.contains("double_sign") && told.contains("sentry-1"), "{told}");
    let mut http = UnixStream::connect(daemon.listening["unix"].as_str().unwrap()).unwrap();
    http.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut metrics = String::new();
    http.read_to_string(&mut metrics).unwrap();
    for series in [
        "virtengine_kms_validator_connected{connection=\"sentry-1\"} 1",
        "virtengine_kms_validator_last_signed_height{connection=\"sentry-1\"} 101",
        "virtengine_kms_validator_signed_total{connection=\"sentry-1\",step=\"prevote\"} 1",
        "virtengine_kms_validator_refused_total{connection=\"sentry-1\",code=\"double_sign\"} 1",
        "virtengine_kms_validator_sign_duration_seconds_count{connection=\"sentry-1\"} 1",
    ] {
        assert!(metrics.contains(series), "{series}\n{metrics}");
    }
    assert_eq!(home.json(&["validator", "status"])[0]["height"], 101);
    daemon.stop();
    assert_eq!(home.json(&["validator", "status"])[0]["height"], 101);
    home.run(&["audit", "verify"]).expect(0);
}
