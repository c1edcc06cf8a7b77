//! Writing, releasing, restarting, rotating, filling the disk.

use super::disk::Trouble;
use super::disk::TroubledDisk;
use super::*;
use crate::audit::Detail;
use crate::audit::Encoded;
use crate::audit::Unreleased;

#[test]
fn a_result_leaves_only_after_its_record_is_durable() {
    let place = Place::new();
    let logger = place.create();
    let pending = logger.release(Unreleased::new("signature", draft(1))).unwrap();
    assert_eq!(pending.seq(), 1);
    assert_eq!(pending.wait().unwrap(), "signature");
    assert_eq!(place.lines().len(), 1, "on the disk while the log is open");
}

/// Wakes the thread that waits for the future.
struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    loop {
        match std::pin::Pin::new(&mut future).poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn awaited_results_leave_only_after_their_records_are_durable() {
    let place = Place::new();
    let logger = place.create();
    let release = |n| logger.release(Unreleased::new(n, draft(n))).unwrap();
    let pending: Vec<_> = (1..=50).map(release).collect();
    for (n, pending) in (1..=50).zip(pending) {
        assert_eq!(block_on(pending).unwrap(), n);
        assert!(place.lines().len() as u64 >= n, "{n} is on the disk");
    }
    logger.close().unwrap();
    assert!(place.verify().valid);
}

#[test]
fn an_awaited_result_whose_record_is_lost_is_discarded() {
    let place = Place::with_records(1);
    let count = TroubledDisk::sound();
    let (logger, _) = AuditLogger::open(Arc::new(count.clone()), place.settings()).unwrap();
    logger.log(draft(2)).unwrap();
    let at_sync = count.effects() - 1;
    logger.close().unwrap();
    let disk = Arc::new(TroubledDisk::new(at_sync, Trouble::NotDone));
    let (logger, _) = AuditLogger::open(disk, place.settings()).unwrap();
    let lost = block_on(logger.release(Unreleased::new(7, draft(3))).unwrap());
    assert!(matches!(lost, Err(AuditFault::Poisoned(_))), "{lost:?}");
}

#[test]
fn an_error_of_the_disk_is_final_and_its_result_discarded() {
    for trouble in [Trouble::NotDone, Trouble::DoneButReported] {
        let place = Place::with_records(3);
        let count = TroubledDisk::sound();
        let (logger, _) = AuditLogger::open(Arc::new(count.clone()), place.settings()).unwrap();
        logger.log(draft(4)).unwrap();
        let at_sync = count.effects() - 1;
        logger.close().unwrap();
        let disk = Arc::new(TroubledDisk::new(at_sync, trouble));
        let (logger, _) = AuditLogger::open(disk, place.settings()).unwrap();
        let lost = logger.release(Unreleased::new(7, draft(5))).unwrap().wait();
        assert!(matches!(lost, Err(AuditFault::Poisoned(_))), "{lost:?}");
        for _ in 0..3 {
            let refused = logger.record(draft(6)).map(|_| ());
            assert!(matches!(refused, Err(AuditFault::Poisoned(_))), "{refused:?}");
        }
        let notes = place.log().join("checkpoints");
        let signed = std::fs::read(&notes).unwrap();
        assert!(matches!(logger.checkpoint_now(), Err(AuditFault::Poisoned(_))));
        assert!(matches!(logger.close(), Err(AuditFault::Poisoned(_))));
        assert_eq!(std::fs::read(&notes).unwrap(), signed, "nothing is written any more");
        let (logger, opened) = place.open();
        assert!(opened.size >= 4, "what was acknowledged is there");
        logger.close().unwrap();
        assert!(place.verify().valid);
    }
}

#[test]
fn a_restart_goes_on_with_number_and_link() {
    let place = Place::with_records(3);
    for n in 4..=6 {
        let (logger, opened) = place.open();
        assert_eq!(opened.size, n - 1);
        assert_eq!(opened.last_time, Some(Timestamp::EPOCH.plus_seconds(n - 1)));
        assert_eq!(opened.torn, None);
        assert_eq!(logger.log(draft(n)).unwrap(), n);
        logger.close().unwrap();
    }
    let verification = place.verify();
    assert!(verification.valid && verification.records == 6, "{verification:?}");
}

#[test]
fn going_on_to_the_next_file_keeps_number_and_link() {
    let place = Place::new();
    let logger = AuditLogger::create(Arc::new(OsDisk), place.small()).unwrap();
    write(&logger, 1..=100);
    logger.close().unwrap();
    let (logger, opened) = AuditLogger::open(Arc::new(OsDisk), place.small()).unwrap();
    assert_eq!(opened.size, 100);
    for n in 101..=120 {
        assert_eq!(logger.log(draft(n)).unwrap(), n);
    }
    logger.close().unwrap();
    let mut number = 1;
    while place.segment(number).exists() {
        assert!(std::fs::metadata(place.segment(number)).unwrap().len() <= 4096);
        number += 1;
    }
    assert!(number > 5, "{number} files");
    let verification = place.verify();
    assert!(verification.valid && verification.records == 120, "{verification:?}");
    assert!(verification.checkpoints >= 5, "{}", verification.checkpoints);
}

#[test]
fn a_record_longer_than_a_file_gets_a_file_of_its_own() {
    let place = Place::new();
    let logger = AuditLogger::create(Arc::new(OsDisk), place.small()).unwrap();
    logger.log(draft(1)).unwrap();
    let long = (0..10)
        .fold(draft(2), |draft, n| draft.with(&format!("d{n}"), Detail::Text("x".repeat(1000))));
    logger.log(long).unwrap();
    logger.log(draft(3)).unwrap();
    logger.close().unwrap();
    assert_eq!(lines(&place.segment(2)).len(), 1);
    assert_eq!(lines(&place.segment(3)).len(), 1);
    assert!(place.verify().valid);
}

#[test]
fn a_full_disk_refuses_before_anything_is_assigned_and_recovers_by_itself() {
    let place = Place::new();
    let disk = TroubledDisk::sound();
    let logger = AuditLogger::create(Arc::new(disk.clone()), place.settings()).unwrap();
    disk.set_full(true);
    for _ in 0..3 {
        let refused = logger.record(draft(1)).map(|_| ());
        assert!(matches!(refused, Err(AuditFault::NoSpace)), "{refused:?}");
    }
    assert_eq!(logger.head().size, 0);
    disk.set_full(false);
    assert_eq!(logger.log(draft(1)).unwrap(), 1, "no number was lost");
    logger.close().unwrap();
    assert!(place.verify().valid);
}

#[test]
fn room_is_kept_back_for_consensus_keys() {
    let place = Place::new();
    let disk = TroubledDisk::sound();
    let logger = AuditLogger::create(Arc::new(disk.clone()), place.settings()).unwrap();
    logger.log(draft(1)).unwrap();
    disk.set_full(true);
    let mut n = 2;
    let refused = loop {
        let filler = draft(n).with("filler", Detail::Text("x".repeat(1000)));
        match logger.log(filler) {
            Ok(seq) => n = seq + 1,
            Err(fault) => break fault,
        }
    };
    assert!(matches!(refused, AuditFault::NoSpace), "{refused}");
    for _ in 0..50 {
        let vote = Draft { for_consensus: true, ..draft(n) };
        assert_eq!(logger.log(vote).unwrap(), n);
        n += 1;
    }
    assert!(matches!(logger.log(draft(n)), Err(AuditFault::NoSpace)));
    disk.set_full(false);
    assert_eq!(logger.log(draft(n)).unwrap(), n);
    logger.close().unwrap();
    assert!(place.verify().valid);
}

#[test]
fn a_full_disk_puts_the_next_file_off() {
    let place = Place::new();
    let disk = TroubledDisk::sound();
    let logger = AuditLogger::create(Arc::new(disk.clone()), place.small()).unwrap();
    logger.log(draft(1)).unwrap();
    disk.set_full(true);
    for n in 2..=60 {
        assert_eq!(logger.log(draft(n)).unwrap(), n, "there is room in the present file");
    }
    assert!(!place.segment(2).exists());
    disk.set_full(false);
    logger.log(draft(61)).unwrap();
    assert!(place.segment(2).exists());
    logger.close().unwrap();
    assert!(place.verify().valid);
}

#[test]
fn a_checkpoint_on_a_full_disk_is_put_off_and_does_no_harm() {
    let place = Place::new();
    let disk = TroubledDisk::sound();
    let logger = AuditLogger::create(Arc::new(disk.clone()), place.settings()).unwrap();
    logger.log(draft(1)).unwrap();
    disk.set_full(true);
    let mut n = 2;
    let refused = loop {
        match logger.checkpoint_now() {
            Ok(head) => assert_eq!(head.size, n - 1),
            Err(fault) => break fault,
        }
        logger.log(draft(n)).unwrap();
        n += 1;
    };
    assert!(matches!(refused, AuditFault::NoSpace), "{refused}");
    logger.log(draft(n)).unwrap();
    disk.set_full(false);
    assert_eq!(logger.checkpoint_now().unwrap().size, n);
    assert_eq!(logger.anchor().unwrap().size, n);
    logger.close().unwrap();
    assert!(place.verify().valid);
}

#[test]
fn sixty_four_threads_get_one_order() {
    let place = Place::new();
    let logger = place.create();
    let numbers: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|_| scope.spawn(|| (0..20).map(|n| logger.log(draft(n)).unwrap()).collect()))
            .collect();
        threads.into_iter().flat_map(|thread| -> Vec<u64> { thread.join().unwrap() }).collect()
    });
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=1280).collect::<Vec<_>>());
    assert!(logger.verify_integrity().unwrap().valid);
    logger.close().unwrap();
    let verification = place.verify();
    assert!(verification.valid && verification.records == 1280);
}

#[test]
fn a_log_is_verified_while_it_is_written() {
    let place = Place::new();
    let logger = AuditLogger::create(Arc::new(OsDisk), place.small()).unwrap();
    std::thread::scope(|scope| {
        let writing =
            scope.spawn(|| (1..=300).for_each(|n| assert_eq!(logger.log(draft(n)).unwrap(), n)));
        while !writing.is_finished() {
            let verification = logger.verify_integrity().unwrap();
            assert_eq!(verification.errors, []);
        }
    });
    assert_eq!(logger.verify_integrity().unwrap().records, 300);
    assert_eq!(logger.verify_integrity().unwrap().head, logger.head());
}

#[test]
fn hostile_text_stays_within_its_record() {
    let place = Place::new();
    let logger = place.create();
    let forged = "x\n{\"v\":1,\"seq\":2,\"prev\":\"\"}\r\n\u{2028}\u{1b}[2J\",\"success\":true";
    let mut draft = draft(1).with(forged, Detail::Text(forged.to_owned()));
    draft.user_agent = Some(forged.repeat(20_000));
    draft.operation = Some(forged.to_owned());
    draft.success = false;
    logger.log(draft).unwrap();
    logger.close().unwrap();
    let lines = place.lines();
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].contains(|c: char| c.is_control() || c == '\u{2028}'));
    let event = crate::audit::AuditEvent::from_line(lines[0].as_bytes()).unwrap();
    assert_eq!(event.operation.as_deref(), Some(forged));
    assert!(!event.success);
    assert!(place.verify().valid);
}

#[test]
fn after_close_nothing_is_recorded() {
    let place = Place::new();
    let logger = place.create();
    logger.close().unwrap();
    assert!(matches!(logger.log(draft(1)), Err(AuditFault::Closed)));
    logger.close().unwrap();
}

#[test]
fn a_pipe_or_a_directory_instead_of_the_file_is_refused() {
    for make in [pipe as fn(&Path), |path: &Path| std::fs::create_dir(path).unwrap()] {
        let place = Place::with_records(3);
        std::fs::remove_file(place.segment(1)).unwrap();
        make(&place.segment(1));
        let opened = AuditLogger::open(Arc::new(OsDisk), place.settings());
        assert!(matches!(opened, Err(AuditFault::File { .. })), "{opened:?}");
        let verified = verify_files(&place.log(), &VerifyOptions::default());
        assert!(matches!(verified, Err(AuditFault::File { .. })), "{verified:?}");
    }
}

fn pipe(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
}

#[test]
fn a_stored_record_is_appended_once_and_found_again() {
    let place = Place::with_records(5);
    let stored = Encoded::from_stored(draft(77).encode().as_bytes().to_vec()).unwrap();
    let (logger, opened) = place.open();
    let rid = draft(77).id.to_hex();
    assert!(!logger.files().contains_since(0, &rid).unwrap());
    logger.log(stored).unwrap();
    assert!(logger.files().contains_since(opened.size, &rid).unwrap());
    assert!(!logger.files().contains_since(6, &rid).unwrap(), "only behind record 6");
}

#[test]
fn unsynced_logs_are_for_development_homes() {
    let place = Place::new();
    let mut settings = place.settings();
    settings.config.sync_writes = false;
    let refused = AuditLogger::create(Arc::new(OsDisk), settings);
    assert!(matches!(refused, Err(AuditFault::Setting(_))), "{refused:?}");
    let mut settings = place.settings();
    settings.config.sync_writes = false;
    settings.development = true;
    let logger = AuditLogger::create(Arc::new(OsDisk), settings).unwrap();
    logger.log(draft(1)).unwrap();
    logger.close().unwrap();
    assert!(place.verify().valid);
}

#[test]
fn head_and_checkpoint_agree_with_the_files() {
    let place = Place::new();
    let logger = place.create();
    write(&logger, 1..=7);
    let head = logger.head();
    assert_eq!(logger.checkpoint_now().unwrap(), head);
    assert_eq!(logger.anchor(), Some(head));
    logger.close().unwrap();
    let verification = place.verify_against(Some(head));
    assert!(verification.valid);
    assert_eq!(verification.head, head);
}
