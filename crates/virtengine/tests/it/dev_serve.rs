//! `virtengine dev --serve`: what it prints can be used at once.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

#[test]
fn dev_serves_its_home_with_the_session_it_prints() {
    let tmp = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_virtengine"))
        .args(["dev", "--serve", "-o", "json"])
        .env_clear()
        .env("TMPDIR", tmp.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let toured: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(toured["ok"], true);
    let serves: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let mut stream = UnixStream::connect(serves["unix"].as_str().unwrap()).unwrap();
    let session = serves["session"].as_str().unwrap();
    let body = "{\"message\":\"aGVsbG8=\"}";
    let request = format!(
        "POST /v1/keys/account/sign HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {session}\r\n\
         user-agent: any\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}
