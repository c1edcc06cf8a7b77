//! Each way of tampering, by name.

use super::*;
use crate::audit::line::GENESIS;
use crate::audit::line::LineHead;
use crate::audit::line::hex_of;
use crate::audit::line::sha256;
use crate::audit::line::write_line;

/// `line` with one text replaced by another of the same length.
fn edited(line: &str, from: &str, to: &str) -> String {
    assert_eq!(from.len(), to.len());
    let after = line.replacen(from, to, 1);
    assert_ne!(after, line);
    after
}

/// The lines again with numbers and links as if they had always stood so.
fn relinked(lines: &[String]) -> Vec<String> {
    let (mut prev, mut out) = (GENESIS, Vec::new());
    for (i, line) in lines.iter().enumerate() {
        LineHead::read(line.as_bytes()).unwrap();
        let (_, body) = line.split_once("\",\"rid\"").unwrap();
        let body = format!("\"rid\"{}", body.strip_suffix('}').unwrap());
        let mut bytes = Vec::new();
        prev = write_line(&mut bytes, (i as u64 + 1, &prev), body.as_bytes());
        bytes.pop();
        out.push(String::from_utf8(bytes).unwrap());
    }
    out
}

#[test]
fn a_log_that_nobody_touched_is_valid() {
    let verification = Place::with_records(20).verify();
    assert_eq!(verification.errors, []);
    assert!(verification.valid && verification.records == 20 && verification.checkpoints >= 2);
}

#[test]
fn every_edited_record_is_named() {
    let place = Place::with_records(10);
    let good = place.lines();
    for at in 0..9 {
        let mut lines = good.clone();
        lines[at] = edited(&lines[at], "key_signed", "key_erased");
        place.put_lines(&lines);
        let n = at as u64 + 1;
        assert_eq!(place.verdict(), (ViolationKind::Edited, n, Some(n)));
    }
}

#[test]
fn every_single_flipped_byte_is_found_in_its_line() {
    let place = Place::with_records(4);
    let good = std::fs::read(place.segment(1)).unwrap();
    let ends: Vec<usize> = (0..good.len()).filter(|&at| good[at] == b'\n').collect();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(place.segment(1), &bytes).unwrap();
        let verification = place.verify();
        assert!(!verification.valid, "byte {at}");
        let line = ends.iter().filter(|&&end| end < at).count() as u64 + 1;
        if line < 4 && !ends.contains(&at) {
            assert_eq!(verdict(&verification).1, line, "byte {at}: {verification:?}");
            assert_eq!(verdict(&verification).0, ViolationKind::Edited, "byte {at}");
        }
    }
}

#[test]
fn an_edited_last_record_does_not_fit_the_checkpoint() {
    let place = Place::new();
    let logger = place.create();
    write(&logger, 1..=5);
    logger.checkpoint_now().unwrap();
    write(&logger, 6..=6);
    logger.close().unwrap();
    let mut lines = place.lines();
    lines[5] = edited(&lines[5], "operation 6", "operation 7");
    place.put_lines(&lines);
    assert_eq!(place.verdict(), (ViolationKind::Edited, 6, Some(6)));
}

#[test]
fn deleted_records_are_missing() {
    let place = Place::with_records(10);
    let mut lines = place.lines();
    lines.remove(6);
    place.put_lines(&lines);
    assert_eq!(place.verdict(), (ViolationKind::Missing, 7, Some(7)));
    lines.drain(..2);
    place.put_lines(&lines);
    assert_eq!(place.verdict(), (ViolationKind::Missing, 1, Some(1)));
}

#[test]
fn swapped_records_are_reordered() {
    let place = Place::with_records(10);
    let mut lines = place.lines();
    lines.swap(6, 7);
    place.put_lines(&lines);
    assert_eq!(place.verdict(), (ViolationKind::Reordered, 7, Some(7)));
    lines.swap(6, 7);
    lines.swap(2, 8);
    place.put_lines(&lines);
    assert_eq!(place.verdict(), (ViolationKind::Reordered, 3, Some(3)));
}

#[test]
fn a_copied_or_foreign_record_is_inserted() {
    let place = Place::with_records(10);
    let good = place.lines();
    let mut lines = good.clone();
    lines.insert(7, good[2].clone());
    place.put_lines(&lines);
    assert_eq!(place.verdict(), (ViolationKind::Inserted, 8, Some(3)));
    lines[7] = "{\"level\":\"info\"}".to_owned();
    place.put_lines(&lines);
    assert_eq!(place.verdict(), (ViolationKind::Inserted, 8, Some(8)));
}

#[test]
fn a_replayed_file_is_inserted() {
    let place = Place::with_records(10);
    std::fs::copy(place.segment(1), place.segment(2)).unwrap();
    let verification = place.verify();
    assert_eq!(verdict(&verification), (ViolationKind::Inserted, 1, Some(1)));
    assert_eq!(verification.errors[0].file, "audit-000002.log");
}

#[test]
fn cut_off_records_are_truncated() {
    let place = Place::with_records(10);
    let lines = place.lines();
    place.put_lines(&lines[..9]);
    assert_eq!(place.verdict(), (ViolationKind::Truncated, 10, Some(10)));
    let refusal = place.refusal(place.settings());
    assert!(refusal.contains("truncated: it has 9 records, 10 are signed"), "{refusal}");
}

#[test]
fn cutting_the_checkpoints_too_shows_against_a_head_kept_elsewhere() {
    let place = Place::new();
    let logger = place.create();
    write(&logger, 1..=5);
    let early = logger.checkpoint_now().unwrap();
    let notes = std::fs::read(place.log().join("checkpoints")).unwrap();
    write(&logger, 6..=10);
    logger.close().unwrap();
    let kept = place.verify().head;
    assert_eq!((early.size, kept.size), (5, 10));
    place.put_lines(&place.lines()[..5]);
    std::fs::write(place.log().join("checkpoints"), notes).unwrap();
    std::fs::remove_file(place.log().join("frontier")).unwrap();
    assert!(place.verify_against(Some(early)).valid, "nothing else can show it");
    let verdict = verdict(&place.verify_against(Some(kept)));
    assert_eq!(verdict, (ViolationKind::Truncated, 6, Some(6)));
    let settings = OpenAudit { anchor: Some(kept), ..place.settings() };
    assert!(place.refusal(settings).contains("truncated"), "open must compare with the anchor");
}

#[test]
fn a_log_rewritten_with_right_links_does_not_fit_its_checkpoints() {
    let place = Place::with_records(10);
    let mut lines = place.lines();
    lines[4] = edited(&lines[4], "operation 5", "operation 0");
    place.put_lines(&relinked(&lines));
    assert_eq!(place.verdict(), (ViolationKind::Rewritten, 1, Some(1)));
}

#[test]
fn a_log_rewritten_and_signed_with_the_key_shows_against_a_head_kept_elsewhere() {
    let place = Place::with_records(10);
    let kept = place.verify().head;
    let mut lines = place.lines();
    lines[4] = edited(&lines[4], "operation 5", "operation 0");
    place.put_lines(&relinked(&lines));
    for file in ["checkpoints", "frontier"] {
        std::fs::remove_file(place.log().join(file)).unwrap();
    }
    place.open().0.close().unwrap();
    assert!(place.verify().valid, "whoever has the key can sign anything");
    let verdict = verdict(&place.verify_against(Some(kept)));
    assert_eq!(verdict, (ViolationKind::Rewritten, 1, Some(1)));
    let settings = OpenAudit { anchor: Some(kept), ..place.settings() };
    assert!(place.refusal(settings).contains("rewritten"));
}

#[test]
fn a_record_rewritten_behind_the_anchor_but_before_the_stored_edge_is_refused() {
    let place = Place::with_records(10);
    let kept = place.verify().head;
    let other = Head { root: [1; 32], ..kept };
    let settings = OpenAudit { anchor: Some(other), ..place.settings() };
    assert!(place.refusal(settings).contains("rewritten"));
}

#[test]
fn two_writers_are_told_from_tampering() {
    let place = Place::with_records(10);
    let mut lines = place.lines();
    let mut other = Vec::new();
    let prev = sha256(lines[8].as_bytes());
    let body = "\"rid\":\"ff\",\"time\":\"1970-01-01T00:00:00.000000Z\",\"type\":\"custom\",\
                \"cause\":\"person\",\"phase\":\"single\",\"success\":true";
    write_line(&mut other, (10, &prev), body.as_bytes());
    other.pop();
    lines.push(String::from_utf8(other).unwrap());
    place.put_lines(&lines);
    assert_eq!(place.verdict(), (ViolationKind::DuplicateWriter, 11, Some(10)));
}

#[test]
fn a_deleted_file_is_missing() {
    let place = Place::new();
    let logger = AuditLogger::create(Arc::new(OsDisk), place.small()).unwrap();
    write(&logger, 1..=60);
    logger.close().unwrap();
    assert!(place.segment(4).exists());
    let first = lines(&place.segment(2))[0].clone();
    let seq = LineHead::read(first.as_bytes()).unwrap().seq;
    std::fs::rename(place.segment(2), place.dir.path().join("away")).unwrap();
    let verification = place.verify();
    assert_eq!(verdict(&verification), (ViolationKind::Missing, 0, Some(seq)));
    assert_eq!(verification.errors[0].file, "audit-000002.log");
    assert!(place.refusal(place.small()).contains("audit-000002.log is missing"));
    std::fs::rename(place.dir.path().join("away"), place.segment(2)).unwrap();
    assert!(place.verify().valid);
    std::fs::remove_file(place.segment(1)).unwrap();
    assert_eq!(verdict(&place.verify()), (ViolationKind::Missing, 0, Some(1)));
}

#[test]
fn a_deleted_log_is_missing_and_not_begun_anew() {
    let place = Place::with_records(3);
    std::fs::remove_file(place.segment(1)).unwrap();
    assert_eq!(place.verdict().0, ViolationKind::Truncated);
    assert!(place.refusal(place.settings()).contains("audit-000001.log is missing"));
    let again = AuditLogger::create(Arc::new(OsDisk), place.settings());
    assert!(matches!(again, Err(AuditFault::File { .. })));
}

#[test]
fn changed_checkpoints_are_named() {
    let place = Place::with_records(3);
    let path = place.log().join("checkpoints");
    let good = std::fs::read_to_string(&path).unwrap();
    let (line, _) =
        good.lines().enumerate().filter(|(_, l)| *l == "virtengine-kms/h-1").last().unwrap();
    std::fs::write(&path, good.replace("\n3\n", "\n2\n")).unwrap();
    let verification = place.verify();
    let at = (ViolationKind::CheckpointInvalid, line as u64 + 1, None);
    assert_eq!(verdict(&verification), at);
    assert!(place.refusal(place.settings()).contains("not signed by the audit key"));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(place.verdict().0, ViolationKind::CheckpointMissing);
}

#[test]
fn a_log_signed_by_another_key_is_not_accepted() {
    let place = Place::with_records(3);
    let other = AuditKey::create(&OsDisk, &place.dir.path().join("other.key"), "h-1").unwrap();
    let audit_key = Some(other.verifier());
    let options = VerifyOptions { audit_key, ..VerifyOptions::default() };
    let verification = verify_files(&place.log(), &options).unwrap();
    assert_eq!(verdict(&verification).0, ViolationKind::CheckpointInvalid);
    let settings = OpenAudit { key: other, ..place.settings() };
    assert!(place.refusal(settings).contains("expected virtengine-kms/h-1+"));
    let options = VerifyOptions { audit_key: Some("x".to_owned()), ..VerifyOptions::default() };
    assert!(matches!(verify_files(&place.log(), &options), Err(AuditFault::Setting(_))));
}

#[test]
fn a_directory_alone_is_enough_to_verify() {
    let place = Place::with_records(3);
    std::fs::remove_file(place.dir.path().join("audit.key")).unwrap();
    let verification = verify_files(&place.log(), &VerifyOptions::default()).unwrap();
    assert!(verification.valid && verification.records == 3);
}

#[test]
fn a_file_of_another_log_is_named() {
    let place = Place::with_records(3);
    std::fs::write(place.log().join("shadow-000001.log"), "").unwrap();
    let verification = place.verify();
    assert_eq!(verdict(&verification).0, ViolationKind::Inserted);
    assert_eq!(verification.errors[0].file, "shadow-000001.log");
}

#[test]
fn damage_before_the_last_checkpoint_stops_the_start_but_not_the_reading() {
    let place = Place::with_records(10);
    let mut lines = place.lines();
    lines[9] = edited(&lines[9], "operation 10", "operation 99");
    place.put_lines(&lines);
    let refusal = place.refusal(place.settings());
    assert!(refusal.contains("not those that were signed"), "{refusal}");
    let files = crate::audit::AuditFiles::at(&place.log().join("audit.log")).unwrap();
    assert_eq!(files.events(Timestamp::EPOCH, None).unwrap().len(), 10);
}

#[test]
fn hex_links_are_compared_in_their_one_spelling() {
    let place = Place::with_records(3);
    let mut lines = place.lines();
    let link = String::from_utf8(hex_of(&sha256(lines[1].as_bytes())).to_vec()).unwrap();
    lines[2] = edited(&lines[2], &link, &link.to_uppercase());
    place.put_lines(&lines);
    assert_eq!(place.verdict(), (ViolationKind::Edited, 3, Some(3)));
}
