//! CometBFT's own signer client takes what we answer, over unix sockets and over tcp.

use kms_formats::comet::Step;
use kms_validator::Event;
use serde_json::Value;
use serde_json::json;

use crate::home::Home;
use crate::home::until;
use crate::node::Node;

fn precommit(height: i64, block: u8, seconds: i64) -> Value {
    json!({ "ask": "vote", "chain": "test-1", "precommit": true, "height": height,
            "block": block, "seconds": seconds, "extension": "beef" })
}

fn prevote(height: i64, block: u8) -> Value {
    json!({ "ask": "vote", "chain": "test-1", "height": height, "block": block, "seconds": 100 })
}

fn proposal(height: i64, block: u8) -> Value {
    json!({ "ask": "proposal", "chain": "test-1", "height": height, "block": block, "seconds": 100 })
}

fn error(answer: &Value) -> &str {
    answer["error"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

fn is_served(address: impl Fn(&Home) -> String) {
    let home = Home::new();
    let Some(mut node) = Node::listen(&address(&home)) else { return };
    let mut signer = home.signer(&node.address);
    let public_key = home.kms.get_key(&home.alice, &home.key.into()).unwrap().public_key;
    assert_eq!(node.ask(json!({ "ask": "key" }))["key"], hex::encode(public_key.as_bytes()));
    assert_eq!(node.ask(json!({ "ask": "ping" })).get("error"), None);
    // A height as a chain goes: proposal, prevote, precommit with its extension.
    for (height, round) in [(10, 0), (11, 0), (11, 1)] {
        for mut question in [proposal(height, 1), prevote(height, 1), precommit(height, 1, 100)] {
            question["round"] = round.into();
            let answer = node.ask(question.clone());
            assert_eq!(answer["valid"], true, "{question}: {answer}");
        }
    }
    let nil = json!({ "ask": "vote", "chain": "test-1", "precommit": true, "height": 12,
                      "block": 0, "seconds": 100 });
    let answer = node.ask(nil);
    assert_eq!((answer["valid"].as_bool(), answer.get("extension_signature")), (Some(true), None));
    // What was signed comes again, with its time, also over a new connection.
    let first = node.ask(precommit(13, 1, 100));
    assert_eq!(first["valid"], true);
    for again in [precommit(13, 1, 100), precommit(13, 1, 777)] {
        let answer = node.ask(again);
        assert_eq!((&answer["signature"], &answer["seconds"]), (&first["signature"], &json!(100)));
    }
    assert_eq!(node.ask(json!({ "ask": "hangup" })).get("error"), None);
    assert_eq!(node.ask(precommit(13, 1, 100))["signature"], first["signature"]);
    // Refusals are told, and the connection stays.
    let connects = signer.status()[0].connects;
    for (question, why) in [
        (precommit(13, 2, 100), "conflicting data"),
        (precommit(12, 1, 100), "was signed already"),
        (precommit(1 << 62, 1, 100), "more than 100000 above height 13"),
        (
            json!({ "ask": "vote", "chain": "other", "height": 14, "seconds": 1 }),
            "chain other is not",
        ),
        (
            json!({ "ask": "vote", "chain": "test-1", "height": 14, "seconds": 1, "extension": "00" }),
            "extension on a vote",
        ),
    ] {
        let answer = node.ask(question);
        assert!(error(&answer).contains(why), "{answer}");
    }
    assert_eq!(node.ask(precommit(14, 1, 100))["valid"], true);
    let status = until(&signer, |status| status.last_signed == Some((14, 0, Step::Precommit)));
    assert_eq!((status.connects, status.connected), (connects, true));
    assert_eq!(status.refused.values().sum::<u64>(), 5, "{status:?}");
    assert_eq!(status.latency.iter().sum::<u64>(), status.signed.values().sum::<u64>());
    let refused = home.events().into_iter().filter(|e| matches!(e, Event::Refused { .. }));
    assert_eq!(refused.count(), 5);
    signer.stop();
}

#[test]
fn cometbft_takes_our_answers_over_a_unix_socket() {
    is_served(|home| format!("unix://{}", home.path("privval.sock").display()));
}

#[test]
fn cometbft_takes_our_answers_over_tcp() {
    is_served(|_| "tcp://127.0.0.1:0".to_owned());
}

#[test]
fn suspended_key_stops_within_one_request_and_goes_on_when_it_is_reactivated() {
    let home = Home::new();
    let address = format!("unix://{}", home.path("privval.sock").display());
    let Some(mut node) = Node::listen(&address) else { return };
    let _signer = home.signer(&node.address);
    assert_eq!(node.ask(prevote(10, 1))["valid"], true);
    let (key, reason) = (home.key.into(), "odd traffic".parse().unwrap());
    let lifecycle = home.kms.lifecycle(&home.alice);
    lifecycle.suspend_key(&key, &reason).unwrap();
    assert!(error(&node.ask(prevote(11, 1))).contains("suspended"));
    lifecycle.reactivate_key(&key, &reason).unwrap();
    assert_eq!(node.ask(prevote(11, 1))["valid"], true);
}

// A node does not ask again after a refusal; it does after a connection that ended.
#[test]
fn key_that_cannot_be_had_is_no_refusal_and_the_node_asks_again_until_it_can() {
    let home = Home::new();
    let address = format!("unix://{}", home.path("privval.sock").display());
    let Some(mut node) = Node::listen(&address) else { return };
    let signer = home.signer(&node.address);
    assert_eq!(node.ask(prevote(10, 1))["valid"], true);
    home.kms.lock(&home.alice).unwrap();
    let answer = std::thread::scope(|scope| {
        let answer = scope.spawn(|| node.ask(prevote(11, 1)));
        until(&signer, |status| !status.connected);
        _ = home.login();
        answer.join().unwrap()
    });
    assert_eq!(answer["valid"], true, "{answer}");
    assert!(signer.status()[0].refused.is_empty());
}

#[test]
fn node_that_starts_anew_is_dialled_again_and_its_new_identity_is_told_of() {
    let home = Home::new();
    let Some(node) = Node::listen("tcp://127.0.0.1:0") else { return };
    let address = node.address.clone();
    let signer = home.signer(&address);
    until(&signer, |status| status.connected);
    drop(node);
    until(&signer, |status| !status.connected);
    let mut node = Node::listen(&address).unwrap();
    assert_eq!(node.ask(prevote(10, 1))["valid"], true);
    let changed = home.events().into_iter().filter(|e| matches!(e, Event::PeerChanged { .. }));
    assert_eq!(changed.count(), 1, "{:?}", home.events());
}

#[test]
fn node_that_is_not_the_configured_one_is_not_spoken_to() {
    let home = Home::new();
    let Some(node) = Node::listen("tcp://127.0.0.1:0") else { return };
    let host = node.address.strip_prefix("tcp://").unwrap();
    let signer = home.signer(&format!("tcp://{}@{host}", "00".repeat(20)));
    let status = until(&signer, |status| status.trouble.is_some());
    assert!(status.trouble.unwrap().contains("is not the one that is configured"));
    assert_eq!(status.connects, 0);
}
