//! The daemon over TLS: certificates on both sides, and a configuration that changes.

use std::fs;
use std::process::Command;

use crate::home::Home;
use crate::serving::Serving;

/// Makes a certificate with OpenSSL that is its own authority.
fn certificate(home: &Home, name: &str) -> (String, String) {
    let (cert, key) =
        (home.file_name(&format!("{name}.pem")), home.file_name(&format!("{name}.key")));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", &format!("/CN={name}"), "-keyout", &key, "-out", &cert])
        .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .args(["-addext", "extendedKeyUsage=serverAuth,clientAuth"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .output();
    match made {
        Ok(output) if output.status.success() => (cert, key),
        other => panic!("openssl (Debian package openssl) makes no certificate: {other:?}"),
    }
}

fn configure(home: &Home, extra: &str) {
    let file = |name: &str| home.file_name(name);
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ntls_cert = \"{}\"\ntls_key = \"{}\"\n{extra}",
        file("server.pem"),
        file("server.key")
    );
    fs::write(home.path().join("config.toml"), config).unwrap();
}

fn address(daemon: &Serving) -> String {
    format!("https://{}", daemon.listening["listen"].as_str().unwrap())
}

#[test]
fn a_server_is_trusted_by_its_authority_only() {
    let home = Home::new();
    let (ca, _) = certificate(&home, "server");
    configure(&home, "");
    let daemon = Serving::unlocked(&home, &[]);
    let address = address(&daemon);
    let here = home.json(&["keys", "add", "val"]);
    let shown = home.json(&["keys", "show", "val", "--server", &address, "--server-ca", &ca]);
    assert_eq!(shown, here);
    let other = certificate(&home, "other").0;
    let list = ["keys", "list", "--server", &address, "--server-ca", &other];
    assert_eq!(home.refused(&list, 7)["code"], "server_not_trusted");
    daemon.stop();
}

#[test]
fn a_service_logs_in_with_its_certificate() {
    let home = Home::new();
    let (ca, _) = certificate(&home, "server");
    let (own, own_key) = certificate(&home, "service");
    let (strange, strange_key) = certificate(&home, "stranger");
    configure(&home, &format!("client_ca = \"{own}\"\n"));
    let daemon = Serving::unlocked(&home, &[]);
    let address = address(&daemon);
    home.json(&["keys", "add", "val"]);
    let passphrase = home.write("svc", "a service never types this 1!");
    let add = ["principal", "add", "svc", "--kind", "service", "--role", "signer"];
    home.json(&[&add[..], &["--new-passphrase-file", &passphrase]].concat());
    let runtime = home.file("runtime");
    let run = |command: &[&str], cert: &str, key: &str| {
        let place = ["--server", &*address, "--server-ca", &*ca, "-o", "json"];
        let own = ["--client-cert", cert, "--client-key", key];
        let arguments = [command, &place, &own].concat();
        home.bare(&arguments).env("XDG_RUNTIME_DIR", runtime.as_os_str()).run()
    };
    let login = ["login", "--attested", "--as", "svc"];
    assert_eq!(run(&login, &own, &own_key).expect(6).problem()["code"], "login_failed");
    home.run(&["principal", "attest", "svc", "--certificate", &own]).expect(0);
    run(&login, &own, &own_key).expect(0);
    let message = home.write("message", "hello");
    run(&["sign", "val", "--in", &message], &own, &own_key).expect(0);
    let refused = run(&["keys", "suspend", "val", "--reason", "x"], &own, &own_key).expect(5);
    assert_eq!(refused.problem()["code"], "permission_denied");
    let stranger = run(&login, &strange, &strange_key);
    assert_eq!(stranger.code, 7, "its certificate is of nobody who is trusted: {stranger:?}");
    daemon.stop();
}

#[test]
fn a_bad_configuration_changes_nothing_and_a_good_one_brings_the_new_certificate() {
    let home = Home::new();
    let (first, _) = certificate(&home, "server");
    let first_ca = home.file_name("first.pem");
    fs::copy(&first, &first_ca).unwrap();
    configure(&home, "");
    let mut daemon = Serving::unlocked(&home, &[]);
    let address = address(&daemon);
    let list = |ca: &str| home.run(&["keys", "list", "--server", &address, "--server-ca", ca]).code;
    assert_eq!(list(&first_ca), 0);
    certificate(&home, "server"); // a new one in its place
    fs::write(home.path().join("config.toml"), "[server]\nlisten = 1\n").unwrap();
    daemon.signal("HUP");
    let said = daemon.journal("configuration");
    assert!(said.contains("the old one stays"), "{said}");
    configure(&home, "");
    assert_eq!(list(&first_ca), 0, "it still shows the old one");
    daemon.signal("HUP");
    let said = daemon.journal("configuration");
    assert!(said.contains("taken over"), "{said}");
    assert_eq!(list(&first_ca), 7, "nobody trusts the old one for the new");
    assert_eq!(list(&first), 0);
    daemon.stop();
}

#[test]
fn a_development_home_is_served_to_this_machine_only() {
    let home = Home::new();
    certificate(&home, "server");
    configure(&home, "");
    let outside = ["serve", "--listen", "0.0.0.0:0"];
    assert_eq!(home.refused(&outside, 10)["code"], "development_home");
    let bare = home.path().join("config.toml");
    fs::write(bare, "").unwrap();
    let no_tls = ["serve", "--listen", "127.0.0.1:0"];
    assert_eq!(home.refused(&no_tls, 2)["code"], "usage");
}
