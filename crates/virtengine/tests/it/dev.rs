//! `virtengine dev` does what it says, and what it leaves can be used.

use std::process::Command;

use crate::harness::Virtengine;

#[test]
fn dev_shows_all_of_it_and_leaves_a_home_to_try() {
    let temporary = tempfile::tempdir().unwrap();
    let run = Virtengine::new(&["dev", "-o", "json"]).env("TMPDIR", temporary.path()).run();
    let shown = run.expect(0).json();
    assert_eq!(shown["ok"], true);
    let results: Vec<(&str, &str)> = shown["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["step"].as_str().unwrap(), step["result"].as_str().unwrap()))
        .collect();
    let result = |step: &str| results.iter().find(|(name, _)| *name == step).expect(step).1;
    for algorithm in ["ed25519", "secp256k1", "p256", "rsa2048", "rsa4096"] {
        assert!(result(algorithm).ends_with("verified; another message refused"));
    }
    assert!(result("consensus key asked to sign a plain message").starts_with("refused ["));
    assert!(result("suspended key asked to sign").starts_with("refused ["));
    assert!(result("old key asked to sign").starts_with("refused ["));
    assert!(result("verified").ends_with("all in order"));
    assert!(result("copy verified").starts_with("NOT valid: audit"), "{}", result("copy verified"));

    // What it says to try next works as it stands, in a shell.
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_virtengine"));
    for command in shown["next"].as_array().unwrap() {
        let output = Command::new("/bin/sh")
            .args(["-c", command.as_str().unwrap()])
            .env_clear()
            .env("PATH", format!("{}:/bin:/usr/bin", program.parent().unwrap().display()))
            .output()
            .unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{command}: {output:?}");
    }
}
