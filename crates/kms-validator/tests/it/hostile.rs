//! Nodes that do not keep to the protocol, and sockets that are not to be trusted.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;

use kms::audit::EventType;
use kms::time::Timestamp;

use crate::home::Home;
use crate::home::until;

/// Accepts the signer's connection.
fn accept(listener: &UnixListener) -> UnixStream {
    let (stream, _) = listener.accept().unwrap();
    stream
}

fn send(stream: &mut UnixStream, message: &[u8]) {
    stream.write_all(&[u8::try_from(message.len()).unwrap()]).unwrap();
    stream.write_all(message).unwrap();
}

fn receive(stream: &mut UnixStream) -> Vec<u8> {
    let mut length = [0];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(length[0])];
    stream.read_exact(&mut message).unwrap();
    message
}

#[test]
fn requests_that_are_none_are_refused_recorded_and_cost_no_connection() {
    let home = Home::new();
    let path = home.path("privval.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let signer = home.signer(&format!("unix://{}", path.display()));
    let mut node = accept(&listener);
    for (request, answer) in
        [(&[0x1a, 0][..], 0x22), (&[0x2a, 0], 0x32), (&[0x0a, 2, 0x10, 1], 0x12)]
    {
        send(&mut node, request);
        let told = receive(&mut node);
        assert_eq!(told[0], answer, "{told:?}");
        assert!(String::from_utf8_lossy(&told).contains("malformed request"), "{told:?}");
    }
    send(&mut node, &[0x3a, 0]);
    assert_eq!(receive(&mut node), [0x42, 0]);
    let status = until(&signer, |status| status.refused.contains_key("request_malformed"));
    assert_eq!((status.connects, status.refused["request_malformed"]), (1, 3));
    let since = Timestamp::EPOCH;
    let events = home.kms.audit(&home.alice).get_events(since, Some(EventType::KeySigned)).unwrap();
    let codes = events.iter().filter_map(|event| event.error_code.as_deref());
    assert_eq!(codes.collect::<Vec<_>>(), ["request_malformed"; 3]);
}

#[test]
fn bytes_that_are_no_message_end_the_connection_and_it_is_dialled_again() {
    let home = Home::new();
    let path = home.path("privval.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let signer = home.signer(&format!("unix://{}", path.display()));
    let garbage: [&[u8]; 5] = [
        &[2, 0x0b, 0x0b],                     // a group
        &[2, 0x4a, 0],                        // raw signing, which this dialect has not
        &[0xff, 0xff, 0xff, 0xff, 0x0f],      // a length of 4 GiB
        &[1, 0x08],                           // cut off
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", // another protocol
    ];
    for bytes in garbage {
        let mut node = accept(&listener);
        node.write_all(bytes).unwrap();
        let mut rest = Vec::new();
        _ = node.read_to_end(&mut rest); // it is hung up
        assert_eq!(rest, [0; 0]);
    }
    let mut node = accept(&listener);
    send(&mut node, &[0x3a, 0]);
    assert_eq!(receive(&mut node), [0x42, 0]);
    assert_eq!(signer.status()[0].connects, 6);
}

#[test]
fn socket_that_others_could_replace_is_not_dialled() {
    let home = Home::new();
    let directory = home.path("open");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    let path = directory.join("privval.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let signer = home.signer(&format!("unix://{}", path.display()));
    let status = until(&signer, |status| status.trouble.is_some());
    assert!(status.trouble.unwrap().contains("can be written to by others (mode 0777)"));
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    until(&signer, |status| status.connected);
}

#[test]
fn node_that_does_not_prove_its_key_is_not_answered() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let signer = home.signer(&format!("tcp://{}", listener.local_addr().unwrap()));
    let (mut node, _) = listener.accept().unwrap();
    // The signer's ephemeral key comes back to it: both ends the same.
    let mut hello = [0; 35];
    node.read_exact(&mut hello).unwrap();
    assert_eq!(hello[..3], [34, 0x0a, 32]);
    node.write_all(&hello).unwrap();
    let mut sealed = [0; 1044];
    node.read_exact(&mut sealed).unwrap();
    node.write_all(&sealed).unwrap();
    let status = until(&signer, |status| status.trouble.is_some());
    assert!(status.trouble.unwrap().contains("secret connection"));
    assert_eq!(status.connects, 0);
}

#[test]
fn signer_stops_while_a_node_is_silent_and_while_none_is_there() {
    let home = Home::new();
    let path = home.path("privval.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut signer = home.signer(&format!("unix://{}", path.display()));
    let _node = accept(&listener);
    until(&signer, |status| status.connected);
    signer.stop();
    let mut signer = home.signer("unix:///nobody/listens/here.sock");
    until(&signer, |status| status.trouble.is_some());
    signer.stop();
}
