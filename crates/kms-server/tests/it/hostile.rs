//! Callers that mean no good, or do not know better: a clear error, and the others are served on.
//! Attacks 38 to 40.

use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use kms_server::Limits;
use serde_json::json;

use crate::daemon::Answer;
use crate::daemon::Daemon;
use crate::daemon::receive;
use crate::daemon::send;

fn raw(daemon: &Daemon, request: &[u8]) -> Option<Answer> {
    let mut stream = daemon.connect();
    stream.write_all(request).unwrap();
    receive(&mut stream)
}

#[test]
fn json_that_is_none_or_too_much_is_refused_with_its_reason() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    daemon.key(&admin, "val");
    let deep = "[".repeat(100_000);
    let deep_object = "{\"scheme\":".repeat(10_000);
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        "{\"message\":1}",
        "{\"message\":\"aGVsbG8\"}",
        "{\"message\":\"aGVsbG8=\",\"message\":\"aGVsbG8=\"}",
        "{\"message\":\"aGVsbG8=\"} x",
        "{\"message\":\"aGVsbG8=\",\"unknown\":1}",
        "{\"message\":\"aGVsbG8=\",\"encoding\":\"nope\"}",
        "\u{feff}{}",
        "{\"message\":NaN}",
        "{\"message\":1e400}",
        &deep,
        &deep_object,
    ];
    for body in bodies {
        let shown: String = body.chars().take(40).collect();
        let answer = daemon.ask("POST", "/v1/keys/val/sign", Some(&admin), body);
        assert_eq!(answer.status, 400, "{shown}: {answer:?}");
        assert!(answer.body.len() < 2000, "{shown}");
        assert!(!answer.json()["request_id"].is_null());
    }
    let empty = json!({"message": ""});
    let refused = daemon.post("/v1/keys/val/sign", &admin, empty).expect(400);
    assert_eq!(refused.code(), "message_missing");
    daemon.post("/v1/keys/val/sign", &admin, json!({"message": "", "empty": true})).expect(200);
}

#[test]
fn bodies_are_bounded_and_more_so_without_a_session() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    daemon.key(&admin, "val");
    let announce = |session: &str, length: usize| {
        format!(
            "POST /v1/keys/val/sign HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {session}\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    for (session, length) in [("nobody", 65_537), (&*admin, 25 << 20), (&*admin, 1 << 50)] {
        let answer = raw(&daemon, announce(session, length).as_bytes()).unwrap();
        assert_eq!((answer.status, &*answer.code()), (413, "body_too_long"), "{length}");
    }
    let mut stream = daemon.connect();
    let head = "POST /v1/sessions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for _ in 0..4 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break; // it has answered and hung up
        }
    }
    let answer = receive(&mut stream).unwrap();
    assert_eq!((answer.status, &*answer.code()), (413, "body_too_long"));
    let message = kms_api::Bytes(vec![7; 16 << 20]);
    daemon.post("/v1/keys/val/sign", &admin, json!({"message": message})).expect(200);
    let message = kms_api::Bytes(vec![7; (16 << 20) + 1]);
    daemon.post("/v1/keys/val/sign", &admin, json!({"message": message})).expect(413);
}

#[test]
fn requests_that_could_be_two_are_none() {
    let daemon = Daemon::new();
    for request in [
        "POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        "GET /live HTTP/1.1\r\nhost: x\r\n bad: folded\r\n\r\n",
        "GET /live\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = raw(&daemon, format!("{request}{}", "\r\n").as_bytes());
        assert!(answer.as_ref().is_none_or(|a| a.status >= 400), "{request:?}: {answer:?}");
    }
    // Both lengths at once: taken for one request, and the connection ends behind it.
    let both = "POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\
                transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /live HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = daemon.connect();
    stream.write_all(both.as_bytes()).unwrap();
    let first = receive(&mut stream);
    assert!(first.as_ref().is_none_or(|a| a.status >= 400), "{first:?}");
    assert!(receive(&mut stream).is_none(), "nothing is smuggled behind it");
    assert_eq!(daemon.ask("GET", "/live", None, "").status, 200);
}

#[test]
fn headers_are_bounded() {
    let daemon = Daemon::new();
    let long = format!("GET /live HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "x".repeat(64 << 10));
    let many: String = (0..200).map(|n| format!("h{n}: x\r\n")).collect();
    let many = format!("GET /live HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    for request in [long, many] {
        let answer = raw(&daemon, request.as_bytes());
        assert!(answer.as_ref().is_none_or(|a| a.status == 431), "{answer:?}");
    }
}

#[test]
fn names_in_paths_are_names_and_no_paths() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    for name in ["..%2f..%2fetc%2fpasswd", "%00", "a%0ab", "%ff", "%e2%80%ae", "x%2fy"] {
        let path = format!("/v1/keys/{name}");
        let answer = daemon.ask("GET", &path, Some(&admin), "");
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
    }
    daemon.key(&admin, "my key+1@home");
    let shown = daemon.ask("GET", "/v1/keys/my%20key%2B1%40home", Some(&admin), "").expect(200);
    assert_eq!(shown.json()["name"], "my key+1@home");
}

#[test]
fn the_address_is_the_connection_s_and_no_header_s() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    let request = format!(
        "GET /v1/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {admin}\r\n\
         x-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\nx-request-id: mine\r\n\r\n"
    );
    let answer = raw(&daemon, request.as_bytes()).unwrap().expect(200);
    assert_ne!(answer.header("x-request-id"), Some("mine"));
    let log = daemon.ask("GET", "/v1/audit/events?latest=3", Some(&admin), "").expect(200);
    assert!(!String::from_utf8_lossy(&log.body).contains("6.6.6.6"));
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    let limits = Limits { connections: 64, ..Limits::default() };
    let daemon = Daemon::within(limits);
    let admin = daemon.login("alice");
    daemon.key(&admin, "val");
    let mut idle = Vec::new();
    for n in 0..400 {
        let mut stream = daemon.connect();
        // Slow loris: the beginning of a head or of a body, and no more.
        let beginning: &[u8] = match n % 3 {
            0 => b"",
            1 => b"POST /v1/keys/val/sign HTTP/1.1\r\nhost: x\r\nx-a: ",
            _ => b"POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
        };
        _ = stream.write_all(beginning);
        idle.push(stream);
        if n % 50 == 0 {
            let body = json!({"message": "aGVsbG8="});
            daemon.post("/v1/keys/val/sign", &admin, body).expect(200);
        }
    }
    let body = json!({"message": "aGVsbG8="});
    daemon.post("/v1/keys/val/sign", &admin, body).expect(200);
}

#[test]
fn a_request_that_never_ends_is_let_go() {
    let second = Duration::from_secs(1);
    let limits = Limits { header_timeout: second, body_timeout: second, ..Limits::default() };
    let daemon = Daemon::within(limits);
    let mut slow_head = daemon.connect();
    slow_head.write_all(b"GET /live HTTP/1.1\r\nhost: x\r\n").unwrap();
    let mut slow_body = daemon.connect();
    let head = b"POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    slow_body.write_all(head).unwrap();
    let began = Instant::now();
    assert!(receive(&mut slow_head).is_none_or(|answer| answer.status == 408));
    assert_eq!(receive(&mut slow_body).unwrap().code(), "body_cut_off");
    assert!(began.elapsed() < Duration::from_secs(50));
}

#[test]
fn who_asks_for_too_much_is_slowed_down_and_others_are_not() {
    let limits = Limits { units_per_s: 100, ..Limits::default() };
    let daemon = Daemon::within(limits);
    let admin = daemon.login("alice");
    let scope = json!([{"role": "signer", "scope": "all"}]);
    let passphrase = crate::daemon::PASSPHRASE;
    let new = json!({"name": "sam", "roles": scope, "passphrase": passphrase});
    daemon.post("/v1/principals", &admin, new).expect(200);
    let rsa = json!({"name": "rsa", "algorithm": "rsa4096"});
    daemon.post("/v1/keys", &admin, rsa).expect(200);
    let sam = daemon.login("sam");
    let sign = |who: &str| daemon.post("/v1/keys/rsa/sign", who, json!({"message": "aGVsbG8="}));
    sign(&sam).expect(200); // it costs more than can be saved up, and is paid for afterwards
    let slowed = sign(&sam).expect(429);
    assert_eq!((&*slowed.code(), slowed.header("retry-after")), ("rate_limited", Some("1")));
    sign(&admin).expect(200);
}

#[test]
fn a_flood_without_a_session_gets_one_record() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    let mut stream = daemon.connect();
    for _ in 0..500 {
        send(&mut stream, ("GET", "/v1/keys"), Some("0123456789abcdef"), "");
        assert_eq!(receive(&mut stream).unwrap().status, 401);
    }
    let size = |daemon: &Daemon| {
        let head = daemon.ask("GET", "/v1/audit/head", Some(&admin), "").expect(200).json();
        head["size"].as_u64().unwrap()
    };
    assert!(size(&daemon) < 200, "{} records", size(&daemon));
}

#[test]
fn nobody_learns_who_exists_from_how_a_login_fails() {
    let daemon = Daemon::new();
    let fail = |name: &str| {
        let body = json!({"principal": name, "passphrase": "wrong wrong wrong"}).to_string();
        let answer = daemon.ask("POST", "/v1/sessions", None, &body).expect(401);
        let mut problem = answer.json();
        problem["request_id"] = "".into();
        assert_eq!(answer.header("connection"), Some("close"), "its buffers go with it");
        problem
    };
    assert_eq!(fail("alice"), fail("nobody"));
}
