//! Events, reports, exports.

use super::*;
use crate::audit::Detail;
use crate::audit::ExportFormat;
use crate::audit::Query;
use crate::key::KeyId;

fn key(n: u8) -> KeyId {
    KeyId::from_random([n; 16])
}

/// Ten records: even ones about key 2 by alice, odd ones failed logins by bob.
fn mixed() -> (Place, AuditLogger) {
    let place = Place::new();
    let logger = AuditLogger::create(Arc::new(OsDisk), place.small()).unwrap();
    for n in 1..=30 {
        let mut draft = draft(n);
        if n % 2 == 0 {
            draft.key = Some(key(2));
            draft.principal = Some("p-alice".to_owned());
        } else {
            draft.event = EventType::LoginFailed;
            draft.principal = Some("p-bob".to_owned());
            draft.success = false;
            draft.error_message = Some(format!("=cmd|'{}'!A1", key(2)));
        }
        logger.log(draft).unwrap();
    }
    (place, logger)
}

fn numbers(events: &[crate::audit::AuditEvent]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

#[test]
fn events_are_found_by_time_type_and_key_across_files() {
    let (place, logger) = mixed();
    assert!(place.segment(2).exists());
    let since = Timestamp::EPOCH.plus_seconds(25);
    let files = logger.files();
    assert_eq!(numbers(&files.events(since, None).unwrap()), [25, 26, 27, 28, 29, 30]);
    let failed = files.events(since, Some(EventType::LoginFailed)).unwrap();
    assert_eq!(numbers(&failed), [25, 27, 29]);
    assert_eq!(numbers(&files.events_by_key(key(2), since).unwrap()), [26, 28, 30]);
    assert_eq!(files.events_by_key(key(3), Timestamp::EPOCH).unwrap(), []);
}

#[test]
fn pages_follow_each_other() {
    let (_place, logger) = mixed();
    let principal = Some("p-bob".to_owned());
    let mut query = Query { principal, limit: Some(6), ..Query::default() };
    let mut seen = Vec::new();
    loop {
        let page = logger.files().find(&query).unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 6);
        query.after = last.seq;
        seen.extend(numbers(&page));
    }
    assert_eq!(seen, (1..=30).step_by(2).collect::<Vec<_>>());
}

#[test]
fn a_text_that_looks_like_a_field_is_not_taken_for_one() {
    let place = Place::new();
    let logger = place.create();
    let mut draft = draft(1).with("type", Detail::Text("key_destroyed".to_owned()));
    draft.operation = Some(",\"type\":\"key_destroyed\",".to_owned());
    logger.log(draft.with("more", Detail::Number(1))).unwrap();
    let found = logger.files().events(Timestamp::EPOCH, Some(EventType::KeyDestroyed)).unwrap();
    assert_eq!(found, []);
}

#[test]
fn a_report_counts_what_happened() {
    let (_place, logger) = mixed();
    let at = |s| Timestamp::EPOCH.plus_seconds(s);
    let report = logger.files().report(at(11), at(21)).unwrap();
    assert_eq!((report.start_time, report.end_time), (at(11), at(21)));
    assert_eq!((report.total_events, report.success_count, report.failure_count), (10, 5, 5));
    assert_eq!(report.success_rate, Some(0.5));
    assert_eq!(report.by_type[&EventType::LoginFailed], 5);
    assert_eq!(report.by_principal["p-alice"], 5);
    assert_eq!(report.by_key[&key(2).to_string()], 5);
}

#[test]
fn a_report_of_nothing_has_no_rate() {
    let place = Place::with_records(1);
    let files = crate::audit::AuditFiles::at(&place.log().join("audit.log")).unwrap();
    let now = Timestamp::EPOCH.plus_seconds(1000);
    let report = files.report(now, now).unwrap();
    assert_eq!((report.total_events, report.success_rate), (0, None));
    assert!(serde_json::to_string(&report).unwrap().contains("\"success_rate\":null"));
}

#[test]
fn jsonl_is_the_log_byte_for_byte() {
    let (place, logger) = mixed();
    let mut out = Vec::new();
    let count = logger.files().export(&Query::default(), ExportFormat::Jsonl, &mut out).unwrap();
    let mut files = Vec::new();
    for number in (1..).take_while(|n| place.segment(*n).exists()) {
        files.extend(std::fs::read(place.segment(number)).unwrap());
    }
    assert_eq!((count, out), (30, files));
}

#[test]
fn csv_holds_one_row_for_each_event_and_no_formula() {
    let (_place, logger) = mixed();
    let query = Query { limit: Some(2), ..Query::default() };
    let mut out = Vec::new();
    logger.files().export(&query, ExportFormat::Csv, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let rows: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0].split(',').count(), rows[2].split(',').count());
    assert!(rows[1].contains(&format!(",'=cmd|'{}'!A1,", key(2))), "{}", rows[1]);
    assert!(rows[2].starts_with("2,1970-01-01T00:00:02.000000Z,key_signed,true,"));
}
