//! Where secrets lie while a home is used: nowhere in readable memory, in no file in the clear, in
//! no output; and nowhere at all once the home is locked or closed.
//!
//! A child process works with secrets that this process made; between the steps it waits, and this
//! process reads all of its memory. A program of its own, because protecting a process must come
//! before its second thread.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod needles;
mod scan;
mod session;
mod talk;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use kms::key::Algorithm;

use crate::needles::Needles;
use crate::talk::Talk;

const CHILD: &str = "KMS_MEMORY_TEST_CHILD";

fn main() {
    if env::var_os(CHILD).is_some() {
        return session::run();
    }
    scan_finds_what_is_there();
    secrets_lie_nowhere();
    println!("test secrets_lie_nowhere ... ok");
}

/// A scan that finds nothing anywhere would pass every other test.
fn scan_finds_what_is_there() {
    let mut needles = Needles::default();
    let secret = needles::random(32);
    needles.add("planted", &secret);
    let planted = std::hint::black_box(hex::encode(&secret).into_bytes());
    let found = scan::memory(std::process::id(), &needles, false);
    assert!(found.iter().any(|place| place.contains("planted in hex")), "{found:?}");
    drop(planted);
}

fn secrets_lie_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let mut child = start();
    let mut talk = Talk::new(child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let pid = child.id();
    let mut needles = Needles::default();

    // Made here, so that nothing in the program of the child holds them.
    talk.say(home.to_str().unwrap());
    for name in ["first", "second", "operator's"] {
        let passphrase = needles::passphrase();
        needles.add_text(&format!("{name} passphrase"), &passphrase);
        talk.say(&passphrase);
    }
    for algorithm in Algorithm::ALL {
        talk.say(&needles.add_key(algorithm));
    }

    let mut found = Vec::new();
    let mut seeds = BTreeMap::new();
    loop {
        let told = talk.hear();
        assert!(told.is_some(), "the child ended: {}", complaint(&mut child));
        let told = told.unwrap();
        let (what, value) = told.split_once(' ').unwrap_or((&told, ""));
        match what {
            "uri" => seeds.insert("seed", needles.add_totp(value)).map_or((), drop),
            "secret" => {
                let (name, value) = value.split_once(' ').unwrap();
                needles.add_text(name, value);
            }
            "code" => talk.say(&needles::totp(&seeds["seed"], value.parse().unwrap())),
            "scan" => {
                let (unreadable, step) = value.split_once(' ').unwrap();
                add_own_keys(&mut needles, &home);
                // Memory that is only locked is readable to us; while in use it is left out.
                let leave_out_locked = unreadable == "locked";
                let places = scan::memory(pid, &needles, leave_out_locked);
                found.extend(places.into_iter().map(|place| format!("{step}: {place}")));
                talk.say("go on");
            }
            what => {
                assert_eq!(what, "end");
                break;
            }
        }
    }
    drop(talk);
    let mut errors = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut errors).unwrap();
    assert!(child.wait().unwrap().success(), "{}", String::from_utf8_lossy(&errors));
    found.extend(needles.places_in("the error output", &errors));
    found.extend(
        files_below(directory.path()).iter().flat_map(|file| places_in_file(file, &needles)),
    );
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn start() -> Child {
    Command::new(env::current_exe().unwrap())
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn complaint(child: &mut Child) -> String {
    let mut text = String::new();
    _ = child.stderr.take().unwrap().read_to_string(&mut text);
    text
}

/// The keys that lie in files of their own, because a home opens without a person.
fn add_own_keys(needles: &mut Needles, home: &Path) {
    for (name, file) in [("store key", "state/store.key"), ("audit key", "audit/audit.key")] {
        let digits = fs::read_to_string(home.join(file)).unwrap();
        needles.add(name, &hex::decode(digits.trim()).unwrap());
    }
}

fn places_in_file(file: &Path, needles: &Needles) -> Vec<String> {
    let own = match file.file_name().unwrap().to_str().unwrap() {
        "store.key" => "store key in hex",
        "audit.key" => "audit key in hex",
        _ => "none",
    };
    let places = needles.places_in(&file.display().to_string(), &fs::read(file).unwrap());
    places.into_iter().filter(|place| !place.contains(own)).collect()
}

fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}
