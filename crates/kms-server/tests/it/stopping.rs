//! A stop lets what was begun come to its end; what was answered is in the log.

use std::io::Write;

use kms::audit::AuditFiles;
use kms::audit::EventType;
use kms::audit::VerifyOptions;
use kms::audit::verify_files;
use kms::time::Timestamp;
use serde_json::json;

use crate::daemon::Daemon;
use crate::daemon::receive;
use crate::daemon::send;

#[test]
fn every_answered_signature_is_in_the_log_after_a_stop_under_load() {
    let daemon = Daemon::new();
    let admin = daemon.login("alice");
    daemon.key(&admin, "val");
    let body = json!({"message": "aGVsbG8="}).to_string();
    let answered = std::thread::scope(|scope| {
        let load: Vec<_> = (0..8)
            .map(|_| {
                let mut stream = daemon.connect();
                let (admin, body) = (&admin, &body);
                scope.spawn(move || {
                    let mut answered = 0_usize;
                    for _ in 0..10_000 {
                        let head = format!(
                            "POST /v1/keys/val/sign HTTP/1.1\r\nhost: x\r\n\
                             authorization: Bearer {admin}\r\ncontent-length: {}\r\n\r\n{body}",
                            body.len()
                        );
                        if stream.write_all(head.as_bytes()).is_err() {
                            break;
                        }
                        match receive(&mut stream) {
                            Some(answer) if answer.status == 200 => answered += 1,
                            _ => break,
                        }
                    }
                    answered
                })
            })
            .collect();
        while size(&daemon, &admin) < 200 {
            std::thread::yield_now();
        }
        daemon.stopper().stop();
        load.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    let dir = daemon.stop();
    let audit = dir.path().join("home/audit");
    let files = AuditFiles::at(&audit.join("audit.log")).unwrap();
    let signed = files.events(Timestamp::EPOCH, Some(EventType::KeySigned)).unwrap();
    assert!(answered > 100, "{answered} were answered");
    assert!(signed.len() >= answered, "{} records of {answered}", signed.len());
    assert!(verify_files(&audit, &VerifyOptions::default()).unwrap().valid);
    assert!(!dir.path().join("kms.sock").exists());
}

fn size(daemon: &Daemon, admin: &str) -> u64 {
    let head = daemon.ask("GET", "/v1/audit/head", Some(admin), "").expect(200).json();
    head["size"].as_u64().unwrap()
}

#[test]
fn a_connection_that_idles_does_not_hold_up_a_stop() {
    let daemon = Daemon::new();
    let mut idle = daemon.connect();
    send(&mut idle, ("GET", "/live"), None, "");
    assert_eq!(receive(&mut idle).unwrap().status, 200);
    let began = std::time::Instant::now();
    drop(daemon.stop());
    assert!(
        began.elapsed() < std::time::Duration::from_secs(9),
        "it did not wait for the idle one"
    );
}
