//! What is shipped beside the program: the unit file, the alert rules, the metrics they are about.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::home::Home;
use crate::home::read;
use crate::serving::Serving;

fn shipped(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging")).join(name)
}

/// A program of the machine; where it is missing that is a failure in CI, elsewhere a loud skip.
fn program(name: &str, package: &str) -> Option<Command> {
    let there = Command::new(name).arg("--version").output().is_ok();
    if !there {
        let missing = format!("{name} is missing (Debian package {package})");
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}");
    }
    there.then(|| Command::new(name))
}

#[test]
fn the_unit_is_exposed_to_no_more_than_it_must() {
    let Some(mut analyze) = program("systemd-analyze", "systemd") else { return };
    let unit = shipped("systemd/virtengine-kms.service");
    let threshold = "--threshold=15"; // an exposure of 1.5
    let output =
        analyze.args(["security", "--offline=true", threshold]).arg(unit).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", said.lines().last().unwrap_or_default());
}

#[test]
fn alert_rules_are_rules_and_fire_when_they_should() {
    for (verb, file) in [("check", "alerts.yml"), ("test", "alerts.test.yml")] {
        let Some(mut promtool) = program("promtool", "prometheus") else { return };
        let dir = shipped("prometheus");
        let output = promtool.args([verb, "rules", file]).current_dir(dir).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn metrics_are_well_formed_and_the_dashboard_and_the_alerts_ask_for_what_there_is() {
    let home = Home::new();
    let daemon = Serving::unlocked(&home, &[]);
    let message = home.write("message", "hello");
    home.json(&["keys", "add", "val"]);
    home.run(&["sign", "val", "--in", &message]).expect(0);
    let socket = home.path().join("kms.sock");
    let output = Command::new("curl")
        .args(["-sf", "--unix-socket"])
        .arg(&socket)
        .arg("http://localhost/metrics")
        .output()
        .expect("curl runs (Debian package curl)");
    let metrics = String::from_utf8(output.stdout).unwrap();
    assert!(metrics.contains("virtengine_kms_sign_requests_total{outcome=\"ok\"} 1"), "{metrics}");
    assert!(!metrics.contains("val"), "names of keys stay inside");
    if let Some(mut promtool) = program("promtool", "prometheus") {
        let promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped());
        let mut child = promtool.stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let asked =
        read(shipped("prometheus/alerts.yml")) + &read(shipped("grafana/virtengine-kms.json"));
    // Told only once someone was slowed down.
    let later = ["virtengine_kms_rate_limited_total"];
    for name in asked.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        if name.starts_with("virtengine_kms_") && !later.contains(&name) {
            assert!(metrics.contains(name), "{name} is asked for and not told");
        }
    }
    daemon.stop();
}
