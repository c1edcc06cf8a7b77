//! Multi-signature operations and approvals, as people type them.

use std::process::Command;

use serde_json::Value;
use serde_json::json;

use crate::harness::Run;
use crate::harness::virtengine;
use crate::home::Home;
use crate::home::checked;

const OTHER: &str = "another long passphrase 42?";

/// A home with `alice` the administrator, and others who hold a key each.
struct Board {
    home: Home,
}

impl Board {
    fn new(members: &[&str]) -> Self {
        let home = Home::new();
        home.write("other", OTHER);
        for member in members {
            let file = home.file_name("other");
            let add = ["principal", "add", member, "--role", "signer", "--slot", "true"];
            home.run(&[&add[..], &["--new-passphrase-file", &file]].concat()).expect(0);
            home.run(&["keys", "add", &format!("{member}-key")]).expect(0);
        }
        Self { home }
    }

    /// Runs a command as a member.
    fn as_member(&self, member: &str, arguments: &[&str]) -> Run {
        let file = self.home.file_name("other");
        let who = ["--as", member, "--passphrase-file", &file, "-o", "json"];
        checked(self.home.bare(&[arguments, &who].concat()).run())
    }

    /// Makes a multisig key of the members, each the owner of their key.
    fn quorum(&self, name: &str, threshold: &str, members: &[&str]) -> Value {
        let mut arguments = vec!["multisig".to_owned(), "create".into(), name.into()];
        arguments.extend(["--threshold".into(), threshold.into()]);
        for member in members {
            arguments.extend(["--signer".into(), format!("{member}={member}-key")]);
            arguments.extend(["--owner".into(), format!("{member}={member}")]);
        }
        self.home.json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn sign(&self, operation: &str, member: &str) -> Run {
        let key = format!("{member}-key");
        self.as_member(member, &["multisig", "sign", operation, "--key", &key])
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is no text in {value}"))
}

/// The operation that a refused command waits for.
fn awaited(problem: &Value) -> String {
    assert_eq!(problem["code"], "approval_required", "{problem}");
    let message = problem["message"].as_str().unwrap();
    message.split_whitespace().find(|word| word.starts_with("o-")).unwrap().to_owned()
}

// SPEC: "Multi-Signature Support": the weighted example, typed; verified by us and by OpenSSL.
#[test]
fn weighted_approval_is_collected_completed_and_verified_by_openssl() {
    if !has("openssl") {
        return;
    }
    let home = Home::new();
    let algorithms = [
        ("CEO", "EC", &["ec_paramgen_curve:P-256"][..], 2),
        ("CTO", "ED25519", &[], 1),
        ("CFO", "RSA", &["rsa_keygen_bits:2048"], 1),
        ("Legal", "EC", &["ec_paramgen_curve:secp256k1"], 1),
        ("Security", "ED25519", &[], 1),
    ];
    let mut create = vec!["multisig".to_owned(), "create".into(), "treasury".into()];
    create.extend(["--threshold", "3", "--timeout", "24h"].map(str::to_owned));
    for (name, algorithm, options, weight) in algorithms {
        let [private, public] = [".key", ".pem"].map(|end| home.file_name(&format!("{name}{end}")));
        let options: Vec<&str> = options.iter().flat_map(|option| ["-pkeyopt", option]).collect();
        let make = [&["genpkey", "-algorithm", algorithm, "-out", &private], &options[..]].concat();
        openssl(&make);
        openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
        create.extend(["--signer".into(), format!("{name}={public}:{weight}")]);
    }
    let created = home.json(&create.iter().map(String::as_str).collect::<Vec<_>>());
    let message = home.write("message", "Treasury withdrawal of 1000 VE");
    let initiate = ["multisig", "initiate", "treasury", "--in", &message, "--description", "pay"];
    let begun = home.json(&initiate);
    let id = text(&begun, "id").to_owned();
    assert_eq!(begun["state"], "pending");
    assert_eq!(begun["message"]["kind"], "opaque bytes");

    // Any software signs the request.
    let request = home.file_name("request");
    home.run(&["multisig", "show", &id, "--request-file", &request]).expect(0);
    let sign = |name: &str, options: &[&str]| {
        let (key, out) =
            (home.file_name(&format!("{name}.key")), home.file_name(&format!("{name}.sig")));
        let sign = ["pkeyutl", "-sign", "-rawin", "-inkey", &key, "-in", &request, "-out", &out];
        openssl(&[&sign[..], options].concat());
        out
    };
    let add = |name: &str, file: &str| {
        let add = ["multisig", "add-signature", &id, "--signer", name, "--signature-file", file];
        home.run(&[&add[..], &["-o", "json"]].concat())
    };
    let sha256 = ["-digest", "sha256"];
    let pss =
        ["-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:32"];
    let ceo = sign("CEO", &sha256);
    let signed = add("CEO", &ceo).expect(0).json();
    assert_eq!((&signed["weight"], &signed["state"]), (&json!(2), &json!("pending")));
    assert_eq!(add("CEO", &ceo).expect(4).problem()["code"], "signature_exists");
    // Nor written in another way: hex of either case, and the key in place of the name.
    let bytes = std::fs::read(&ceo).unwrap();
    let key = home.file_name("CEO.pem");
    for (signer, text) in [("ceo", hex::encode_upper(&bytes)), (&key, hex::encode(&bytes))] {
        let again = ["multisig", "add-signature", &id, "--signer", signer, "--signature", &text];
        assert_eq!(home.refused(&again, 4)["code"], "signature_exists");
    }
    assert_eq!(add("CTO", &ceo).expect(8).problem()["code"], "signature_invalid");
    let short = home.refused(&["multisig", "complete", &id], 9);
    assert_eq!(short["code"], "threshold_not_met");
    assert!(text(&short, "message").contains("signed: CEO; missing: CTO, CFO, Legal, Security"));

    let signed = add("CFO", &sign("CFO", &pss)).expect(0).json();
    assert_eq!(signed["state"], "threshold_met");
    add("Legal", &sign("Legal", &sha256)).expect(0);
    add("Security", &sign("Security", &[])).expect(0);
    let bundle = home.file_name("bundle.json");
    let done = home.json(&["multisig", "complete", &id, "--out", &bundle]);
    let again = home.json(&["multisig", "complete", &id]);
    assert_eq!(done["final_signature"], again["final_signature"], "complete is asked twice");

    // Without any home.
    let shown = virtengine(&["multisig", "verify", &bundle, "-o", "json"]).expect(0).json();
    assert_eq!((&shown["valid"], &shown["weight"]), (&json!(true), &json!(5)));
    assert_eq!(shown["key"], created["id"]);
    let known = ["multisig", "verify", &bundle, "--key-id", text(&created, "id")];
    virtengine(&known).expect(0);
    let other = ["multisig", "verify", &bundle, "--key-id", &format!("m-{}", "0".repeat(32))];
    virtengine(&other).expect(8);
    let damaged = std::fs::read_to_string(&bundle).unwrap().replacen("pay", "pat", 1);
    let damaged = home.write("damaged.json", damaged);
    virtengine(&["multisig", "verify", &damaged]).expect(8);

    // The procedure of docs/multisig.md, with nothing of ours.
    let evidence = &done["evidence"];
    assert_eq!(evidence["statement"], begun["request"]);
    let statement = home.write("statement", text(evidence, "statement"));
    for collected in evidence["operation"]["signatures"].as_array().unwrap() {
        let name = text(collected, "signer");
        let public = home.file_name(&format!("{name}.pem"));
        let mut signature = hex::decode(text(collected, "signature")).unwrap();
        let options = match name {
            "CEO" | "Legal" => {
                let ecdsa = kms_formats::signature::EcdsaSignature::from_bytes(&signature);
                signature = ecdsa.unwrap().to_der(); // what OpenSSL reads
                &sha256[..]
            }
            "CFO" => &pss,
            _ => &[],
        };
        let signature = home.write("signature", signature);
        let verify =
            ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", &public, "-in", &statement];
        openssl(&[&verify[..], &["-sigfile", &signature], options].concat());
    }
}

#[test]
fn operations_are_listed_cancelled_and_stay_over() {
    let board = Board::new(&["bob", "carol"]);
    board.quorum("pair", "2", &["bob", "carol"]);
    let home = &board.home;
    let initiate = ["multisig", "initiate", "pair", "--in", "-", "--description", "first"];
    let command = home.command(&[&initiate[..], &["-o", "json"]].concat());
    let begun = checked(command.stdin("hello").run()).expect(0).json();
    let id = text(&begun, "id").to_owned();
    home.refused(
        &["multisig", "initiate", "none", "--in", &home.write("m", "x"), "--description", "d"],
        3,
    );
    let listed = home.json(&["multisig", "list"]);
    assert_eq!((&listed[0]["id"], &listed[0]["key"]), (&begun["id"], &json!("pair")));
    assert!(home.run(&["multisig", "list"]).expect(0).text().contains("0/2"));
    assert_eq!(home.json(&["multisig", "list", "--keys"])[0]["name"], "pair");

    // A signature is hidden before the threshold is met.
    let signed = board.sign(&id, "bob").expect(0).json();
    assert_eq!(signed["signed"][0].get("signature"), None);
    // Somebody else's key is not used, also not by the administrator.
    let own = home.refused(&["multisig", "sign", &id, "--key", "carol-key"], 5);
    assert_eq!(own["code"], "not_your_key");
    board.as_member("bob", &["multisig", "cancel", &id, "--reason", "no"]).expect(5);
    let cancelled = home.json(&["multisig", "cancel", &id, "--reason", "changed our minds"]);
    assert_eq!(
        (&cancelled["state"], &cancelled["reason"]),
        (&json!("cancelled"), &json!("changed our minds"))
    );
    assert_eq!(board.sign(&id, "carol").expect(9).problem()["code"], "multisig_cancelled");
    home.refused(&["multisig", "complete", &id], 9);
    assert_eq!(home.json(&["multisig", "list"]), json!([]));
    assert_eq!(home.json(&["multisig", "list", "--all"])[0]["state"], "cancelled");
    home.run(&["audit", "verify"]).expect(0);
}

#[test]
fn destruction_waits_for_approval_and_happens_once() {
    let board = Board::new(&["bob", "carol", "dave"]);
    let home = &board.home;
    home.json(&["keys", "add", "treasury-1"]);
    board.quorum("board", "2", &["bob", "carol", "dave"]);
    let rule =
        ["approval", "set", "guard", "--act", "destroy", "--act", "sign", "--quorum", "board"];
    let set = home.json(&[&rule[..], &["--scope", "treasury*"]].concat());
    assert_eq!((&set["version"], &set["initiator_counts"]), (&json!(1), &json!(false)));

    // Signing with the treasury key waits, with what is signed shown.
    let message = home.write("message", "pay 1000");
    let sign = ["sign", "treasury-1", "--in", &message, "--encoding", "base64"];
    let id = awaited(&home.refused(&sign, 11));
    assert_eq!(awaited(&home.refused(&sign, 11)), id, "asked again, it is the same operation");
    let shown = home.run(&["multisig", "show", &id]).expect(0);
    assert!(shown.text().contains("pay 1000"), "{}", shown.text());
    board.sign(&id, "bob").expect(0);
    assert_eq!(home.refused(&["multisig", "complete", &id], 9)["code"], "threshold_not_met");
    board.sign(&id, "carol").expect(0);
    let done = home.json(&["multisig", "complete", &id]);
    let verify =
        ["verify", "treasury-1", "--in", &message, "--signature", text(&done, "signature")];
    home.run(&verify).expect(0);
    let again = home.json(&["multisig", "complete", &id]);
    assert_eq!(again.get("signature"), None, "it is carried out once");
    assert_ne!(awaited(&home.refused(&sign, 11)), id, "the next signature needs its own approval");
    home.run(&["sign", "bob-key", "--in", &message]).expect(0);

    // So does destroying it, by running the command again.
    home.run(&["keys", "compromise", "treasury-1", "--reason", "lost", "--confirm", "treasury-1"])
        .expect(0);
    let destroy =
        ["keys", "destroy", "treasury-1", "--now", "--reason", "over", "--confirm", "treasury-1"];
    let id = awaited(&home.refused(&destroy, 11));
    board.sign(&id, "dave").expect(0);
    board.sign(&id, "carol").expect(0);
    assert_eq!(home.json(&destroy)["state"], "destroyed");
    assert_eq!(home.json(&["multisig", "list", "--all"])[2]["state"], "complete");

    // The rule itself is changed with its own quorum's approval only.
    let id = awaited(&home.refused(&["approval", "remove", "guard"], 11));
    let weaker = [&rule[..], &["--scope", "nothing*"]].concat();
    let other = awaited(&home.refused(&weaker, 11));
    assert_ne!(id, other);
    for member in ["bob", "dave"] {
        board.sign(&id, member).expect(0);
    }
    assert_eq!(home.json(&["multisig", "complete", &id])["done"], "approval rule guard is removed");
    assert_eq!(home.json(&["approval", "list"]), json!([]));
}

#[test]
fn policies_that_ask_for_approval_get_it_from_a_rule() {
    let board = Board::new(&["bob", "carol"]);
    let home = &board.home;
    let policy = ["policy", "set", "strict", "--require-mfa=false"];
    let policy = [&policy[..], &["--require-approval-for-activation"]].concat();
    home.run(&policy).expect(0);
    assert_eq!(home.json(&["keys", "add", "k", "--policy", "strict"])["state"], "created");
    let refused = home.refused(&["keys", "activate", "k"], 11);
    assert!(text(&refused, "message").starts_with("policy strict requires approval"), "{refused}");
    board.quorum("pair", "1", &["bob", "carol"]);
    home.json(&["approval", "set", "use", "--act", "activate", "--quorum", "pair"]);
    let id = awaited(&home.refused(&["keys", "activate", "k"], 11));
    board.sign(&id, "bob").expect(0);
    assert_eq!(home.json(&["keys", "activate", "k"])["state"], "active");
    // A new key does not slip in active, and a rotation waits as well.
    assert_eq!(home.json(&["keys", "add", "other"])["state"], "created");
    let id = awaited(&home.refused(&["keys", "rotate", "k"], 11));
    board.sign(&id, "carol").expect(0);
    let rotated = home.json(&["multisig", "complete", &id]);
    assert!(text(&rotated, "done").ends_with("k is active"), "{rotated}");
}

// Nobody is led into a rule that cannot be satisfied, or out of one by a name.
#[test]
fn rules_that_cannot_be_met_are_refused_and_renaming_leads_out_of_none() {
    let board = Board::new(&["bob", "carol"]);
    let home = &board.home;
    board.quorum("both", "2", &["bob", "carol"]);
    let rule = ["approval", "set", "r", "--act", "sign", "--quorum", "both"];
    assert_eq!(home.refused(&rule, 10)["code"], "quorum_unreachable");
    let lenient = [&rule[..], &["--initiator-counts", "--scope", "k*"]].concat();
    home.json(&lenient);
    home.json(&["keys", "add", "k1"]);
    awaited(&home.refused(&["keys", "rename", "k1", "free"], 11));
    home.run(&["keys", "rename", "k1", "k2"]).expect(0);
    // What nobody owns cannot tell who asks from who approves.
    let create = ["multisig", "create", "loose", "--threshold", "1", "--signer", "x=bob-key"];
    home.json(&create);
    let rule = ["approval", "set", "s", "--act", "policy", "--quorum", "loose"];
    assert_eq!(home.refused(&rule, 2)["code"], "rule_invalid");
    // An approval is no message like any other, for whoever may use the key.
    let forged = home.write("forged", "virtengine multisig approval v1\nkey: m-00\n");
    assert_eq!(home.refused(&["sign", "bob-key", "--in", &forged], 10)["code"], "signs_approval");
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "{program} is missing");
    if !found {
        eprintln!("SKIPPED: {program} is missing");
    }
    found
}

#[track_caller]
fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
