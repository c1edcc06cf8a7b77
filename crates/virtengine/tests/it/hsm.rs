//! Tokens, against SoftHSM 2: as an operator meets them, and as OpenSC and OpenSSL see them.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use serde_json::json;

use crate::home::Home;
use crate::serving::Serving;
use crate::validator::message;
use crate::validator::prevote;

const LIBRARIES: [&str; 2] =
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];

/// A home whose configuration names a token of its own, which is initialised.
struct Soft {
    home: Home,
    library: PathBuf,
}

impl Soft {
    fn new() -> Option<Self> {
        let soft = Self::configured("")?;
        let made = soft.init().expect(0).json();
        assert_eq!(made["token_label"], "VirtEngine");
        Some(soft)
    }

    /// As [`Self::new`], with no token yet and more settings.
    fn configured(more: &str) -> Option<Self> {
        let library = needed("SoftHSM 2", "softhsm2", &LIBRARIES)?;
        let home = Home::new();
        std::fs::create_dir(home.file("tokens")).unwrap();
        let tokens = home.file_name("tokens");
        let conf = home.write(
            "softhsm2.conf",
            format!(
                "directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
            ),
        );
        let pin = home.write("pin", "1234");
        home.write("so-pin", "5678");
        let section = format!(
            "[hsm.soft]\nlibrary_path = \"{}\"\ntoken_label = \"VirtEngine\"\npin_file = \"{pin}\"\n\
             {more}\n[hsm.soft.environment]\nSOFTHSM2_CONF = \"{conf}\"\n",
            library.display()
        );
        std::fs::write(home.path().join("config.toml"), section).unwrap();
        Some(Self { home, library })
    }

    fn init(&self) -> crate::harness::Run {
        let (so_pin, pin) = (self.home.file_name("so-pin"), self.home.file_name("pin"));
        self.home.run(&["hsm", "init", "--so-pin-file", &so_pin, "--pin-file", &pin, "-o", "json"])
    }

    fn key(&self, name: &str, algorithm: &str) -> Value {
        let arguments = ["keys", "add", name, "--algo", algorithm, "--storage", "hsm:soft"];
        self.home.json(&arguments)
    }

    /// `pkcs11-tool`, logged in to the token.
    fn pkcs11_tool(&self, arguments: &[&str]) -> Option<String> {
        needed("OpenSC", "opensc", &["/usr/bin/pkcs11-tool"])?;
        let output = Command::new("pkcs11-tool")
            .arg("--module")
            .arg(&self.library)
            .args(["--token-label", "VirtEngine", "--login", "--pin", "1234"])
            .args(arguments)
            .env("SOFTHSM2_CONF", self.home.file("softhsm2.conf"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap())
    }
}

fn needed(what: &str, package: &str, paths: &[&str]) -> Option<PathBuf> {
    if let Some(found) = paths.iter().map(Path::new).find(|path| path.exists()) {
        return Some(found.to_owned());
    }
    assert!(std::env::var_os("CI").is_none(), "{what} is missing: apt-get install {package}");
    eprintln!("SKIPPED: {what} is missing: apt-get install {package}");
    None
}

#[test]
fn keys_in_a_token_live_as_all_others() {
    let Some(soft) = Soft::new() else { return };
    let home = &soft.home;
    let message = home.write("message", "a message");
    for algorithm in ["ed25519", "secp256k1", "p256", "rsa2048"] {
        let key = soft.key(algorithm, algorithm);
        assert_eq!((&key["type"], &key["storage"]), (&"hsm".into(), &"hsm:soft".into()));
        let signed = home.json(&["sign", algorithm, "--in", &message, "--encoding", "base64"]);
        let signature = signed["signature"].as_str().unwrap();
        let verify = ["verify", algorithm, "--in", &message, "--signature", signature];
        home.run(&[&verify[..], &["--encoding", "base64"]].concat()).expect(0);
    }
    let rsv = home.json(&["sign", "secp256k1", "--in", &message, "--encoding", "rsv"]);
    assert_eq!(rsv["signature"].as_str().unwrap().len(), 130);
    home.run(&["keys", "suspend", "p256", "--reason", "odd traffic"]).expect(0);
    let refused = home.refused(&["sign", "p256", "--in", &message], 10);
    assert_eq!(refused["code"], "key_not_usable");
    let rotated = home.json(&["keys", "rotate", "ed25519"]);
    assert_eq!(rotated["storage"], "hsm:soft");
    home.run(&["audit", "verify"]).expect(0);
    let log = home.run(&["audit", "log", "--key", "secp256k1", "-o", "json"]).expect(0);
    assert_eq!(log.text().matches("\"key_signed\"").count(), 2);
}

#[test]
fn openssl_verifies_what_the_token_signed() {
    let Some(soft) = Soft::new() else { return };
    let home = &soft.home;
    let message = home.write("message", "a message");
    for (algorithm, encoding, options) in [
        ("p256", "der", &["-sha256"][..]),
        ("secp256k1", "der", &["-sha256"]),
        ("rsa2048", "raw", &["-sha256", "-sigopt", "rsa_padding_mode:pss"]),
    ] {
        soft.key(algorithm, algorithm);
        let pem = home.run(&["keys", "show", algorithm, "--pem"]).expect(0).stdout;
        let pem = home.write(&format!("{algorithm}.pem"), pem);
        let signed = home.run(&["sign", algorithm, "--in", &message, "--encoding", encoding]);
        let signature = home.write(&format!("{algorithm}.sig"), signed.expect(0).stdout);
        let output = Command::new("openssl")
            .args(["dgst", "-verify", &pem, "-signature", &signature])
            .args(options)
            .arg(&message)
            .output()
            .unwrap();
        assert!(output.status.success(), "{algorithm}: {output:?}");
    }
}

#[test]
fn pkcs11_tool_sees_keys_that_cannot_leave() {
    let Some(soft) = Soft::new() else { return };
    let key = soft.key("val", "p256");
    let id = key["id"].as_str().unwrap();
    let Some(listed) = soft.pkcs11_tool(&["--list-objects", "--type", "privkey"]) else { return };
    assert!(listed.contains(&format!("label:      virtengine:general:{id}")), "{listed}");
    assert!(listed.contains(&format!("ID:         {}", &id[2..])), "{listed}");
    assert!(listed.contains("Usage:      sign\n"), "nothing but signing: {listed}");
    for access in ["sensitive", "always sensitive", "never extractable", "local"] {
        assert!(listed.contains(access), "{access}: {listed}");
    }
    let objects = soft.home.json(&["hsm", "list"]);
    assert_eq!(objects[0]["standing"], "own");
    assert_eq!(objects[0]["key"], "val");
    assert_eq!(objects[0]["never_extractable"], true);
}

#[test]
fn key_of_another_program_is_taken_over_and_signs() {
    let Some(soft) = Soft::new() else { return };
    let home = &soft.home;
    let make = ["--keypairgen", "--key-type", "EC:prime256v1", "--id", "0011", "--label", "theirs"];
    let make = [&make[..], &["--sensitive"]].concat();
    if soft.pkcs11_tool(&make).is_none() {
        return;
    }
    let objects = home.json(&["hsm", "list"]);
    assert_eq!(
        (&objects[0]["object"], &objects[0]["standing"]),
        (&"theirs".into(), &"other".into())
    );
    let key = home.json(&["hsm", "import", "ours", "--adopt", "theirs"]);
    assert_eq!((&key["origin"], &key["algorithm"]), (&"adopted".into(), &"p256".into()));
    let message = home.write("message", "a message");
    let signed = home.json(&["sign", "ours", "--in", &message, "--encoding", "hex"]);
    let signature = signed["signature"].as_str().unwrap();
    home.run(&["verify", "ours", "--in", &message, "--signature", signature]).expect(0);
    assert_eq!(home.json(&["hsm", "list"])[0]["standing"], "own");
    // Not twice, not by another name, and not removed behind its record's back.
    assert_eq!(
        home.refused(&["hsm", "import", "again", "--adopt", "0011"], 4)["code"],
        "key_exists"
    );
    let delete = ["hsm", "delete", "theirs", "--confirm", "theirs"];
    assert_eq!(home.refused(&delete, 4)["code"], "key_on_record");
    assert_eq!(
        home.refused(&["hsm", "import", "x", "--adopt", "gone"], 3)["code"],
        "object_not_found"
    );
}

#[test]
fn key_that_no_record_names_can_be_removed() {
    let Some(soft) = Soft::new() else { return };
    let make = ["--keypairgen", "--key-type", "EC:prime256v1", "--id", "77", "--label", "old"];
    if soft.pkcs11_tool(&make).is_none() {
        return;
    }
    let unconfirmed = soft.home.refused(&["hsm", "delete", "old"], 2);
    assert_eq!(unconfirmed["code"], "confirmation_required");
    soft.home.run(&["hsm", "delete", "old", "--confirm", "old"]).expect(0);
    assert_eq!(soft.home.json(&["hsm", "list"]), Value::Array(Vec::new()));
}

#[test]
fn key_moves_from_its_file_into_the_token_and_its_file_goes_by_lifecycle() {
    let Some(soft) = Soft::new() else { return };
    let home = &soft.home;
    for (name, purpose) in [("plain", "general"), ("val", "consensus")] {
        let before = home.json(&["keys", "add", name, "--purpose", purpose]);
        let after = home.json(&["hsm", "migrate", name]);
        assert_eq!(after["storage"], "hsm:soft");
        assert_eq!(after["public_key"], before["public_key"]);
        assert_eq!((&after["state"], &after["origin"]), (&"active".into(), &"imported".into()));
        assert_eq!(after["predecessor"], before["id"]);
        let old = home.json(&["keys", "show", before["id"].as_str().unwrap()]);
        assert_eq!((&old["state"], &old["storage"]), (&"deactivated".into(), &"file".into()));
        let file = format!("{}.key", &before["id"].as_str().unwrap()[2..]);
        assert!(home.path().join("keystore").join(file).exists(), "retired, not deleted");
    }
    let message = home.write("message", "a message");
    let signed = home.json(&["sign", "plain", "--in", &message, "--encoding", "hex"]);
    let verify = ["verify", "plain", "--in", &message, "--signature"];
    home.run(&[&verify[..], &[signed["signature"].as_str().unwrap()]].concat()).expect(0);
    assert_eq!(home.refused(&["hsm", "migrate", "plain"], 4)["code"], "key_not_in_file");
    assert_eq!(home.json(&["hsm", "list"])[0]["local"], false, "brought from outside, for ever");
}

#[test]
fn private_key_is_taken_into_the_token_and_marked_for_ever() {
    let Some(soft) = Soft::new() else { return };
    let home = &soft.home;
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let file = home.write("seed", seed);
    let options = ["--format", "raw", "--algo", "ed25519"];
    let key = home.json(&[&["hsm", "import", "rfc", &file], &options[..]].concat());
    assert_eq!((&key["origin"], &key["storage"]), (&"imported".into(), &"hsm:soft".into()));
    let object = &home.json(&["hsm", "list"])[0];
    assert_eq!((&object["local"], &object["never_extractable"]), (&false.into(), &false.into()));
    let empty = home.write("empty", "");
    let signed = home.json(&["sign", "rfc", "--in", &empty, "--empty", "--encoding", "hex"]);
    // RFC 8032 section 7.1, test 1.
    let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac\
                    c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    assert_eq!(signed["signature"], expected);
}

#[test]
fn doctor_walks_to_a_signature_and_stops_at_what_is_broken() {
    let Some(soft) = Soft::new() else { return };
    let home = &soft.home;
    let report = home.json(&["hsm", "doctor", "soft"]);
    assert_eq!(report["ok"], true);
    let steps: Vec<&str> =
        report["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
    let expected = [
        "file",
        "load",
        "initialize",
        "slots",
        "token",
        "login",
        "mechanisms",
        "make",
        "sign",
        "verify",
        "delete",
        "latency",
    ];
    assert_eq!(steps, expected);
    assert_eq!(home.json(&["hsm", "list"]), Value::Array(Vec::new()), "the test key is gone");

    let last = |arguments: &[&str]| {
        let run = home.run(&[&["hsm", "doctor"], arguments, &["-o", "json"]].concat()).expect(7);
        let report = run.json();
        assert_eq!(report["ok"], false);
        report["steps"].as_array().unwrap().last().unwrap().clone()
    };
    let step = last(&["soft", "--library", "/nowhere/lib.so"]);
    assert_eq!(step["step"], "file");
    let words = "failed to initialize PKCS#11: library not found";
    assert!(step["detail"].as_str().unwrap().starts_with(words), "{step}");
    let step = last(&["soft", "--token-label", "Other"]);
    assert_eq!(step["step"], "token");
    assert!(step["detail"].as_str().unwrap().contains("there are `VirtEngine`"), "{step}");
    let wrong = home.write("wrong-pin", "9999");
    let step = last(&["soft", "--pin-file", &wrong]);
    assert_eq!(step["step"], "login");
    assert!(step["detail"].as_str().unwrap().contains("CKR_PIN_INCORRECT"), "{step}");
    let other = home.write("no-library", "x".repeat(100));
    let step = last(&["soft", "--library", &other]);
    assert_eq!(step["step"], "file");
    let text = home.run(&["hsm", "doctor", "soft", "--pin-file", &wrong]).expect(7);
    assert!(text.text().contains("✖ login"), "{}", text.text());
    assert!(text.text().contains("  fix "), "{}", text.text());
}

#[test]
fn library_that_is_not_there_reads_as_the_specification_says() {
    let Some(soft) = Soft::new() else { return };
    let config = soft.home.path().join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let gone = text.replace(&soft.library.display().to_string(), "/nowhere/libpkcs11.so");
    std::fs::write(&config, gone).unwrap();
    let problem = soft.home.refused(&["hsm", "status"], 7);
    assert_eq!(problem["code"], "hsm_library");
    let words = "failed to initialize PKCS#11: library not found";
    assert!(problem["message"].as_str().unwrap().starts_with(words), "{problem}");
    let found = soft.library.display().to_string();
    let advice = problem["advice"].as_array().unwrap();
    assert!(advice.iter().any(|line| line.as_str().unwrap().contains(&found)), "{problem}");
    // Keys in files are none of its business.
    soft.home.json(&["keys", "add", "in-a-file"]);
}

#[test]
fn slot_number_that_moved_is_explained_with_the_label() {
    let Some(soft) = Soft::new() else { return };
    let config = soft.home.path().join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("token_label = \"VirtEngine\"", "slot_id = 0")).unwrap();
    let problem = soft.home.refused(&["hsm", "status"], 7);
    assert_eq!(problem["code"], "hsm_settings");
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("slot 0 holds no initialised token"), "{problem}");
    assert!(message.contains("`VirtEngine`"), "{problem}");
    std::fs::write(&config, text.replace("max_sessions", "x")).unwrap();
    let both = text.replace("token_label", "slot_id = 0\ntoken_label");
    std::fs::write(&config, both).unwrap();
    let status = soft.home.json(&["hsm", "status"]);
    assert!(status["notice"].as_str().unwrap().contains("is now in slot"), "{status}");
    assert_eq!(status["pin"], "ok");
}

#[test]
fn token_opens_the_keystore_without_a_passphrase() {
    let Some(soft) = Soft::configured("unlock_keystore = true") else { return };
    soft.init().expect(0);
    let home = &soft.home;
    home.json(&["keys", "add", "in-a-file"]);
    // A principal whose passphrase opens nothing.
    let secret = home.write("bob", "another passphrase 8!");
    let add = ["principal", "add", "bob", "--role", "operator", "--slot", "false"];
    home.run(&[&add[..], &["--new-passphrase-file", &secret]].concat()).expect(0);
    let message = home.write("message", "a message");
    let sign = ["sign", "in-a-file", "--in", &message, "--as", "bob", "--passphrase-file", &secret];
    let as_bob = |code: i32| home.bare(&[&sign[..], &["-o", "json"]].concat()).run().expect(code);
    assert_eq!(as_bob(7).problem()["code"], "locked");
    let slot = home.json(&["hsm", "enroll", "soft"]);
    assert_eq!(slot["kind"], "hsm");
    as_bob(0);
    let log = home.run(&["audit", "log", "--type", "unlocked", "-o", "json"]).expect(0);
    assert!(log.text().contains("\"hsm:soft\""), "{}", log.text());
    // Removing another's slot replaces the keystore key, and the token opens the new one.
    home.run(&["keys", "add", "another"]).expect(0);
    as_bob(0);
    home.run(&["hsm", "unenroll", "soft"]).expect(0);
    assert_eq!(as_bob(7).problem()["code"], "locked");
    let again = home.refused(&["hsm", "unenroll", "soft"], 6);
    assert_eq!(again["code"], "login_failed");
}

#[test]
fn configuration_that_others_may_write_loads_no_library() {
    use std::os::unix::fs::PermissionsExt;
    let Some(soft) = Soft::new() else { return };
    let config = soft.home.path().join("config.toml");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o666)).unwrap();
    let problem = soft.home.refused(&["hsm", "status"], 2);
    assert_eq!(problem["code"], "config_unsafe");
}

#[test]
fn token_without_an_algorithm_names_the_storages_that_have_it() {
    let Some(soft) = Soft::configured("profile = \"kryoptic\"") else { return };
    soft.init().expect(0);
    let add = ["keys", "add", "k", "--algo", "secp256k1", "--storage", "hsm:soft"];
    let problem = soft.home.refused(&add, 2);
    assert_eq!(problem["code"], "algorithm_not_supported");
    let expected = "storage `hsm:soft` has no secp256k1 keys; it has ed25519, p256, rsa2048, rsa4096; \
                    storage file can";
    assert_eq!(problem["message"], expected);
    assert_eq!(soft.home.json(&["hsm", "list"]), Value::Array(Vec::new()));
}

#[test]
fn no_pin_is_seen_in_the_process_list_the_log_or_the_output() {
    let Some(soft) = Soft::new() else { return };
    let home = &soft.home;
    let pin = "canary-90817263";
    // SoftHSM takes any PIN of 4 to 255 bytes.
    home.write("pin", pin);
    let so_pin = home.file_name("so-pin");
    let erase = ["--erase", "--confirm", "VirtEngine", "--so-pin-file", &so_pin];
    let pin_file = home.file_name("pin");
    let init = ["hsm", "init", "--pin-file", &pin_file, "-o", "json"];
    let made = home.run(&[&init[..], &erase[..]].concat()).expect(0);
    assert!(!made.text().contains(pin) && !made.stderr.contains(pin));
    soft.key("k", "p256");
    let doctor = home.run(&["hsm", "doctor", "soft"]).expect(0);
    assert!(!doctor.text().contains(pin) && !doctor.stderr.contains(pin));
    for entry in std::fs::read_dir(home.path().join("audit")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(pin.len()).any(|window| window == pin.as_bytes()));
    }
}

#[test]
fn daemon_signs_votes_with_a_key_that_is_in_the_token() {
    let Some(soft) = Soft::new() else { return };
    let home = &soft.home;
    let new = ["keys", "add", "val", "--purpose", "consensus", "--storage", "hsm:soft"];
    let key = home.json(&new);
    let begin = ["validator", "state", "init", "val", "--chain-id", "c-1", "--height", "0"];
    home.json(&[&begin[..], &["--reason", "new"]].concat());
    let socket = home.file("privval.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let config = home.path().join("config.toml");
    let section = format!(
        "{}[[validator]]\nchain_id = \"c-1\"\nkey = \"val\"\naddress = \"unix://{}\"\n",
        std::fs::read_to_string(&config).unwrap(),
        socket.display()
    );
    std::fs::write(&config, section).unwrap();
    let daemon = Serving::unlocked(home, &[]);
    let (mut node, _) = listener.accept().unwrap();
    node.write_all(&prevote(7)).unwrap();
    let signed = message(&mut node);
    assert_eq!(signed[2], 0x0a, "a vote, and no refusal: {signed:?}");
    assert_eq!(home.json(&["validator", "status"])[0]["height"], 7);
    // Other keys of the token are used over the daemon too; the token itself is looked at without.
    let account = soft.key("pay", "secp256k1");
    assert_eq!((&key["storage"], &account["storage"]), (&json!("hsm:soft"), &json!("hsm:soft")));
    let message = home.write("message", "hello");
    home.run(&["sign", "pay", "--in", &message]).expect(0);
    assert_eq!(home.refused(&["hsm", "list", "soft"], 4)["code"], "daemon_runs");
    daemon.stop();
    assert_eq!(home.json(&["hsm", "list", "soft"]).as_array().unwrap().len(), 2);
}
