//! Attacks on the log and through the log.

use std::fs;
use std::net::IpAddr;
use std::process::Command;

use kms::audit::EventType;
use kms::audit::ExportFormat;
use kms::audit::Query;
use kms::key::Scheme;
use kms::manager::ErrorKind;
use kms::manager::KeyOperation;
use kms::manager::Login;

use crate::home::Home;
use crate::home::PASSPHRASE;
use crate::home::client;
use crate::home::log_of;
use crate::home::make;
use crate::home::named;
use crate::home::records;
use crate::home::secret;

// Attack 37.
#[test]
fn log_that_is_a_directory_a_pipe_or_gone_stops_the_start() {
    let home = Home::development();
    let untouched = home.copy("audit");
    let log = log_of(&home.path());
    type Attack = fn(&std::path::Path);
    let attacks: [(&str, Attack); 3] = [
        ("directory", |log| fs::create_dir(log).unwrap()),
        ("pipe", |log| assert!(Command::new("mkfifo").arg(log).status().unwrap().success())),
        ("gone", |_| ()),
    ];
    for (name, attack) in attacks {
        fs::remove_file(&log).unwrap();
        attack(&log);
        assert_eq!(home.open().unwrap_err().kind(), ErrorKind::Integrity, "{name}");
        home.put_back("audit", &untouched);
    }
    home.open().unwrap();
}

// Attack 37.
#[test]
fn line_of_a_second_writer_shows_and_stops_the_start() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    make(&kms, &caller, "val");
    kms.close().unwrap();
    let text = fs::read_to_string(log_of(&home.path())).unwrap();
    let last = text.lines().last().unwrap().to_owned();
    fs::write(log_of(&home.path()), text + &last + "\n").unwrap();
    assert!(!home.verify_log().valid);
    assert_eq!(home.open().unwrap_err().kind(), ErrorKind::Integrity);
}

// Attack 38.
#[test]
fn text_from_outside_begins_no_record_and_is_cut() {
    let home = Home::development();
    let kms = home.open().unwrap();
    let nasty = "a\r\nb\u{1b}[31mred\u{2028}c\u{85}d\"e|f=g\\";
    let flood = "x".repeat(1_000_000);
    let (name, passphrase) = ("alice".parse().unwrap(), secret(PASSPHRASE));
    let address: IpAddr = "2001:db8::1".parse().unwrap();
    let client = client(Some(address), &format!("{nasty}{flood}"));
    let login = Login { principal: &name, passphrase: &passphrase, mfa_code: None, client };
    let caller = kms.login(login).unwrap();
    let what = KeyOperation {
        key: None,
        operation: format!("{nasty}{flood}"),
        success: true,
        error_message: Some(format!("{nasty}{flood}")),
        metadata: vec![(format!("{nasty}{flood}"), format!("{nasty}{flood}")); 100],
    };
    kms.audit(&caller).log_key_operation(&what).unwrap();
    let raw = fs::read_to_string(log_of(&home.path())).unwrap();
    let bad = |c: char| c != '\n' && (c.is_control() || "\u{2028}\u{2029}\u{85}".contains(c));
    assert!(!raw.contains(bad));
    assert!(raw.lines().all(|line| line.len() < 256 * 1024));
    let records = records(&home);
    assert_eq!(records.len(), raw.lines().count());
    let custom = records.iter().find(|record| record.event == EventType::Custom).unwrap();
    assert!(custom.operation.as_deref().unwrap().starts_with(nasty));
    assert!(home.verify_log().errors.is_empty());
    let mut csv = Vec::new();
    kms.audit(&caller).export(&Query::default(), ExportFormat::Csv, &mut csv).unwrap();
    assert!(!String::from_utf8(csv).unwrap().contains('\u{1b}'));
}

// A caller's own words are of the type `custom`, with the caller's own identity.
#[test]
fn nobody_writes_a_record_of_another_or_of_another_type() {
    let home = Home::development();
    let (kms, caller) = home.enter();
    make(&kms, &caller, "val");
    let what = KeyOperation {
        key: Some(named("val")),
        operation: "key_signed".to_owned(),
        success: true,
        error_message: None,
        metadata: vec![("principal".to_owned(), "p-0000000000000000".to_owned())],
    };
    kms.audit(&caller).log_key_operation(&what).unwrap();
    kms.sign(&caller, &named("val"), b"m", Scheme::default()).unwrap();
    let records = records(&home);
    let [.., custom, signed] = records.as_slice() else { panic!("two records at least") };
    assert_eq!((custom.event, signed.event), (EventType::Custom, EventType::KeySigned));
    assert_eq!(custom.principal, signed.principal);
    assert_ne!(custom.principal.as_deref(), Some("p-0000000000000000"));
}
