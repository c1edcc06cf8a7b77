//! Where passphrases come from, and where they and private keys never go.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::harness::Run;
use crate::home::Home;
use crate::home::PASSPHRASE;
use crate::home::checked;

#[test]
fn passphrase_is_read_from_file_descriptor_stdin_and_variable() {
    let home = Home::new();
    let list = ["keys", "list", "-o", "json"];
    let ok = |run: Run| assert_eq!(checked(run).expect(0).text(), "[]\n");
    ok(home.bare(&list).stdin(format!("{PASSPHRASE}\n")).run());
    ok(home.bare(&list).stdin(format!("{PASSPHRASE}\r\nnext\n")).run());
    let stdin = |flag: &[&str]| home.bare(&[&list, flag].concat()).stdin(PASSPHRASE).run();
    ok(stdin(&["--passphrase-file", "-"]));
    ok(stdin(&["--passphrase-fd", "0"]));
    ok(home.bare(&list).env("VIRTENGINE_PASSPHRASE_FILE", home.file("passphrase")).run());

    // A shell hands over a descriptor of its own.
    let script = "exec \"$0\" keys list -o json --home \"$1\" --passphrase-fd 7 7<\"$2\"";
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_virtengine")])
        .args([home.path(), home.file("passphrase")])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[]\n", "{output:?}");

    // A flag wins over the variable; the variable's own value is never taken for a passphrase.
    let run = home.command(&list).env("VIRTENGINE_PASSPHRASE_FILE", "/nonexistent").run();
    ok(run);
    home.bare(&list).env("VIRTENGINE_PASSPHRASE_FILE", "/nonexistent").run().expect(3);
    home.bare(&list).env("VIRTENGINE_PASSPHRASE", PASSPHRASE).run().expect(2);

    // Nothing, too much, a directory, a closed descriptor.
    home.bare(&list).run().expect(2);
    home.bare(&list).stdin("\n").run().expect(2);
    home.bare(&list).stdin("x".repeat(5000)).run().expect(2);
    home.bare(&["keys", "list", "--passphrase-file", "/"]).run().expect(2);
    home.bare(&["keys", "list", "--passphrase-fd", "99"]).run().expect(3);
}

#[test]
fn file_others_can_read_is_warned_about() {
    let home = Home::new();
    assert_eq!(home.run(&["keys", "list"]).expect(0).stderr.matches("others can read").count(), 0);
    fs::set_permissions(home.file("passphrase"), Permissions::from_mode(0o644)).unwrap();
    let run = home.run(&["keys", "list"]).expect(0);
    assert!(run.stderr.contains("others can read"), "{}", run.stderr);
}

#[test]
fn no_file_of_the_home_holds_a_passphrase_or_an_imported_key() {
    let home = Home::new();
    let key = [0x5a; 32];
    let file = home.write("key", key);
    home.json(&["keys", "import", "k", &file, "--format", "raw", "--algo", "secp256k1"]);
    let needles =
        [PASSPHRASE.as_bytes(), &key[..], hex::encode(key).as_bytes()].map(<[u8]>::to_vec);
    let files = home.files();
    assert!(files.len() > 4, "{files:?}");
    for path in files {
        let bytes = fs::read(&path).unwrap();
        for needle in &needles {
            let found = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{} holds a secret", path.display());
        }
    }
}
