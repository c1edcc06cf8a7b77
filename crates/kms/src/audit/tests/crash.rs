//! Stopping at every effect, and half-written ends.

use super::disk::Trouble;
use super::disk::TroubledDisk;
use super::*;

/// Works with a log on a disk that fails; returns how many records were acknowledged.
fn work(place: &Place, disk: TroubledDisk, from: u64) -> u64 {
    let mut acknowledged = from - 1;
    let Ok((logger, _)) = AuditLogger::open(Arc::new(disk), place.small()) else {
        return acknowledged;
    };
    for n in from..from + 18 {
        match logger.log(draft(n)) {
            Ok(seq) => acknowledged = seq,
            Err(_) => break,
        }
        if n % 6 == 0 {
            let _ = logger.checkpoint_now(); // failing is what this is about
        }
    }
    let _ = logger.close();
    acknowledged
}

fn effects() -> usize {
    let place = Place::with_records(3);
    let disk = TroubledDisk::sound();
    assert_eq!(work(&place, disk.clone(), 4), 21);
    disk.effects()
}

/// Has trouble at every effect in turn: nothing acknowledged may be missing, and the log goes on.
fn survives(trouble: Trouble) {
    let effects = effects();
    assert!(effects > 50, "{effects} effects");
    for n in 0..effects {
        let place = Place::with_records(3);
        let acknowledged = work(&place, TroubledDisk::new(n, trouble), 4);
        let opened = AuditLogger::open(Arc::new(OsDisk), place.small());
        let (logger, opened) = opened.unwrap_or_else(|e| panic!("at {n}: {e}"));
        assert!(opened.size >= acknowledged, "at {n}: {} of {acknowledged}", opened.size);
        logger.log(draft(99)).unwrap();
        logger.close().unwrap();
        let verification = place.verify();
        assert!(verification.valid, "at {n}: {verification:?}");
        assert_eq!(verification.records, opened.size + 1);
    }
}

#[test]
fn stopped_at_any_effect_nothing_acknowledged_is_missing() {
    survives(Trouble::Stop);
}

#[test]
fn stopped_in_the_middle_of_any_write_nothing_acknowledged_is_missing() {
    survives(Trouble::Half);
}

#[test]
fn after_any_failed_effect_nothing_acknowledged_is_missing() {
    survives(Trouble::NotDone);
}

#[test]
fn after_any_effect_done_but_reported_failed_nothing_acknowledged_is_missing() {
    survives(Trouble::DoneButReported);
}

#[test]
fn a_create_that_stopped_leaves_nothing_that_opens_wrongly() {
    let sound = TroubledDisk::sound();
    let place = Place::new();
    drop(AuditLogger::create(Arc::new(sound.clone()), place.settings()).unwrap());
    for n in 0..sound.effects() {
        let place = Place::new();
        let disk = Arc::new(TroubledDisk::new(n, Trouble::Stop));
        drop(AuditLogger::create(disk, place.settings()));
        if let Ok((logger, opened)) = AuditLogger::open(Arc::new(OsDisk), place.settings()) {
            assert_eq!(opened.size, 0);
            logger.log(draft(1)).unwrap();
            logger.close().unwrap();
            assert!(place.verify().valid, "stopped at {n}");
        }
    }
}

#[test]
fn a_half_written_line_is_set_aside_and_told() {
    let place = Place::with_records(3);
    let good = std::fs::read(place.segment(1)).unwrap();
    let last = place.lines().remove(2);
    let next = last.replacen("\"seq\":3", "\"seq\":4", 1);
    for (i, cut) in [1, 20, 100, next.len() - 1, next.len()].into_iter().enumerate() {
        let torn = &next.as_bytes()[..cut];
        std::fs::write(place.segment(1), [&good, torn].concat()).unwrap();
        assert_eq!(place.verdict(), (ViolationKind::Torn, 4, Some(4)));
        let (logger, opened) = place.open();
        let set_aside = opened.torn.expect("told");
        assert_eq!(set_aside.bytes, cut as u64);
        assert_eq!(std::fs::read(&set_aside.file).unwrap(), torn);
        assert!(set_aside.file.ends_with(format!("audit-000001.log.torn-{}", i + 1)));
        assert_eq!(opened.size, 3);
        logger.close().unwrap();
        assert_eq!(std::fs::read(place.segment(1)).unwrap(), good);
        assert!(place.verify().valid);
    }
}

#[test]
fn a_tail_of_zeros_is_set_aside() {
    let place = Place::with_records(3);
    let mut bytes = std::fs::read(place.segment(1)).unwrap();
    bytes.extend_from_slice(&[0; 5000]);
    std::fs::write(place.segment(1), bytes).unwrap();
    let (logger, opened) = place.open();
    assert_eq!(opened.torn.unwrap().bytes, 5000);
    logger.close().unwrap();
    assert!(place.verify().valid);
}

#[test]
fn whole_records_that_do_not_link_are_damage_and_not_a_half_written_end() {
    let place = Place::with_records(3);
    let mut lines = place.lines();
    lines.push(lines[1].clone());
    place.put_lines(&lines);
    let before = std::fs::read(place.segment(1)).unwrap();
    let refusal = place.refusal(place.settings());
    assert!(refusal.contains("expected record 4, got record 2"), "{refusal}");
    assert_eq!(std::fs::read(place.segment(1)).unwrap(), before, "nothing is changed");
}

#[test]
fn a_half_written_checkpoint_is_cut_off() {
    let place = Place::with_records(3);
    let path = place.log().join("checkpoints");
    let good = std::fs::read(&path).unwrap();
    for cut in 1..good.len() / 2 {
        std::fs::write(&path, [&good[..], &good[..cut]].concat()).unwrap();
        place.open().0.close().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), good, "cut at {cut}");
    }
}

#[test]
fn a_lost_or_false_edge_only_costs_time() {
    let place = Place::with_records(10);
    let path = place.log().join("frontier");
    let good = std::fs::read_to_string(&path).unwrap();
    let falsehoods = [
        String::new(),
        "{}".to_owned(),
        good.replace("\"offset\":", "\"offset\":1"),
        good.replace("\"segment\":1", "\"segment\":7"),
        good.replace("\"size\":10", "\"size\":9"),
        good.replacen("\"last\":\"", "\"last\":\"00", 1),
    ];
    for falsehood in falsehoods {
        std::fs::write(&path, &falsehood).unwrap();
        let (logger, opened) = place.open();
        assert_eq!((opened.size, opened.last_time.is_some()), (10, true), "{falsehood}");
        logger.close().unwrap();
        assert!(place.verify().valid);
    }
}

#[test]
fn without_a_last_checkpoint_the_records_behind_it_are_read_again() {
    let place = Place::with_records(3);
    let (logger, _) = place.open();
    write(&logger, 4..=6);
    let (segment, notes) = (place.segment(1), place.log().join("checkpoints"));
    let (lines, signed) = (std::fs::read(&segment).unwrap(), std::fs::read(&notes).unwrap());
    logger.close().unwrap();
    std::fs::write(&segment, lines).unwrap();
    std::fs::write(&notes, signed).unwrap();
    std::fs::remove_file(place.log().join("frontier")).unwrap();
    let (logger, opened) = place.open();
    assert_eq!(opened.size, 6);
    assert_eq!(logger.anchor().unwrap().size, 6, "signed at the start");
    logger.close().unwrap();
    assert!(place.verify().valid);
}
