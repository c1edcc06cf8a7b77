//! What stands on the wire: names of requests, pages, keys for asking again, batches.

use serde_json::json;

use crate::daemon::Daemon;

#[test]
fn the_name_of_a_request_stands_in_its_record() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    let key = daemon.key(&admin, "val");
    let body = json!({"message": "aGVsbG8=", "encoding": "base64"});
    let signed = daemon.post("/v1/keys/val/sign", &admin, body).expect(200);
    let id = signed.header("x-request-id").unwrap().to_owned();
    assert_eq!(signed.json()["key_id"], key);
    let path = format!("/v1/audit/events?key={key}&type=key_signed");
    let events = daemon.ask("GET", &path, Some(&admin), "").expect(200).json();
    assert_eq!(events.as_array().unwrap().len(), 1);
    assert_eq!(events[0]["request"], id);
    let refused = daemon.ask("GET", "/v1/keys/nope", Some(&admin), "").expect(404);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.json()["code"], "key_not_found");
    assert_eq!(refused.json()["request_id"], refused.header("x-request-id").unwrap());
}

#[test]
fn what_is_asked_again_under_one_key_is_done_once() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    let ask = |name: &str, key: &str| {
        let body = json!({"name": name}).to_string();
        let request = format!(
            "POST /v1/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {admin}\r\n\
             idempotency-key: {key}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = daemon.connect();
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        crate::daemon::receive(&mut stream).unwrap()
    };
    let first = ask("val", "one").expect(200);
    let second = ask("val", "one").expect(200);
    assert_eq!(first.body, second.body, "the same answer");
    assert_eq!(ask("val", "two").expect(409).code(), "key_exists");
    assert_eq!(ask("other", "one").expect(409).code(), "idempotency_key_reused");
    let keys = daemon.ask("GET", "/v1/keys", Some(&admin), "").expect(200).json();
    assert_eq!(keys.as_array().unwrap().len(), 1);
}

#[test]
fn lists_come_in_pages_that_name_the_next_one() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    for _ in 0..1005 {
        daemon.ask("GET", "/v1/roles", Some(&admin), "").expect(200);
    }
    let first = daemon.ask("GET", "/v1/audit/events", Some(&admin), "").expect(200);
    assert_eq!(first.json().as_array().unwrap().len(), 1000);
    let link = first.header("link").unwrap();
    let next = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    assert_eq!(next, "/v1/audit/events?after=1000");
    let second = daemon.ask("GET", &next, Some(&admin), "").expect(200);
    assert_eq!(second.json()[0]["seq"], 1001);
    assert_eq!(second.header("link"), None);
    for limit in ["0", "1001"] {
        let path = format!("/v1/audit/events?limit={limit}");
        daemon.ask("GET", &path, Some(&admin), "").expect(400);
    }
}

#[test]
fn each_item_of_a_batch_gets_its_own_result() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    daemon.key(&admin, "val");
    let item = |n: usize| json!({"message": "aGVsbG8=", "reference": n.to_string()});
    let mut items: Vec<_> = (0..100).map(item).collect();
    items[7] = json!({"message": "", "reference": "7"});
    let body = json!({"items": items});
    let signed = daemon.post("/v1/keys/val/sign-batch", &admin, body).expect(200).json();
    let results = signed["results"].as_array().unwrap();
    assert_eq!(results.len(), 100);
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result["reference"], n.to_string());
        assert_eq!(result["signature"].is_string(), n != 7, "{result}");
    }
    assert_eq!(results[7]["error"]["code"], "message_missing");
    let verify: Vec<_> = results
        .iter()
        .map(|r| json!({"message": "aGVsbG8=", "signature": r["signature"].as_str().unwrap_or("")}))
        .collect();
    let body = json!({"items": verify});
    let verified = daemon.post("/v1/keys/val/verify-batch", &admin, body).expect(200).json();
    let valid =
        verified["results"].as_array().unwrap().iter().filter(|r| r["valid"] == true).count();
    assert_eq!(valid, 99);
    let none = json!({"items": []});
    daemon.post("/v1/keys/val/sign-batch", &admin, none).expect(400);
}

#[test]
fn a_session_for_any_program_is_one_that_was_asked_for_so() {
    let daemon = Daemon::new();
    let ask = |session: &str, agent: &str| {
        let request = format!(
            "GET /v1/roles HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {session}\r\n\
             user-agent: {agent}\r\n\r\n"
        );
        let mut stream = daemon.connect();
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        crate::daemon::receive(&mut stream).unwrap().status
    };
    let bound = daemon.login("alice");
    assert_eq!(ask(&bound, ""), 200);
    assert_eq!(ask(&bound, "curl"), 401);
    assert_eq!(ask(&bound, ""), 401, "it has ended: somebody else may have it");
    let body = json!({"passphrase": crate::daemon::PASSPHRASE, "any_agent": true}).to_string();
    let free = daemon.ask("POST", "/v1/sessions", None, &body).expect(200).json();
    let free = free["session"].as_str().unwrap();
    assert_eq!((ask(free, "curl"), ask(free, "other")), (200, 200));
}

#[test]
fn a_service_logs_in_as_the_user_it_runs_as_and_nobody_else_does() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    let passphrase = crate::daemon::PASSPHRASE;
    let roles = json!([{"role": "signer", "scope": "all"}]);
    let new = |name: &str| json!({"name": name, "roles": roles, "passphrase": passphrase});
    daemon.post("/v1/principals", &admin, new("svc")).expect(200);
    daemon.post("/v1/principals", &admin, new("other")).expect(200);
    let login = |name: &str| {
        let body = json!({"principal": name}).to_string();
        daemon.ask("POST", "/v1/sessions", None, &body)
    };
    assert_eq!(login("svc").expect(401).code(), "login_failed", "nothing is attested yet");
    let metadata = std::fs::metadata(daemon.socket()).unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&metadata);
    let attest = |name: &str, attested: &[String]| {
        let body = json!({"attestations": attested}).to_string();
        daemon.ask("PUT", &format!("/v1/principals/{name}/attestations"), Some(&admin), &body)
    };
    attest("svc", &[format!("uid:{uid}")]).expect(200);
    let session = login("svc").expect(200).json()["session"].as_str().unwrap().to_owned();
    daemon.key(&admin, "val");
    daemon.post("/v1/keys/val/sign", &session, json!({"message": "aGVsbG8="})).expect(200);
    assert_eq!(login("other").expect(401).code(), "login_failed");
    assert_eq!(login("nobody").expect(401).code(), "login_failed");
    assert_eq!(attest("other", &[format!("uid:{uid}")]).expect(409).code(), "attestation_taken");
    attest("svc", &[format!("uid:{}", uid + 1)]).expect(200);
    let after = daemon.post("/v1/keys/val/sign", &session, json!({"message": "aGVsbG8="}));
    assert_eq!(after.status, 401, "its session ended with the change");
    assert_eq!(login("svc").expect(401).code(), "login_failed");
}
