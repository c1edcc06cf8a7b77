//! The disk against everything that can stand in its way.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::mknodat;
use rustix::process::umask;

use super::*;
use crate::durable::testing::SmallDisk;
use crate::durable::testing::home;
use crate::durable::testing::missing;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn assert_unsafe<T: Debug>(result: Result<T, DiskError>, expected: Danger) {
    match result {
        Err(DiskError::Unsafe { why, .. }) => assert_eq!(why, expected),
        other => panic!("expected {expected:?}, got {other:?}"),
    }
}

#[test]
fn created_file_is_read_back_and_never_replaced_by_create() {
    let (_home, dir) = home();
    let file = dir.join("a");
    OsDisk.create(&file, b"one").unwrap();
    assert!(matches!(OsDisk.create(&file, b"two"), Err(DiskError::Exists)));
    assert_eq!(OsDisk.read(&file, 3).unwrap(), b"one");
    OsDisk.replace(&file, b"three").unwrap();
    assert_eq!(OsDisk.read(&file, 5).unwrap(), b"three");
    assert_eq!(OsDisk.list(&dir).unwrap(), ["a"]);
    OsDisk.remove(&file).unwrap();
    assert!(matches!(OsDisk.read(&file, 5), Err(DiskError::NotFound)));
    assert!(matches!(OsDisk.remove(&file), Err(DiskError::NotFound)));
}

#[test]
fn file_longer_than_the_limit_is_refused() {
    let (_home, dir) = home();
    let long = vec![7; 3_000_000];
    OsDisk.create(&dir.join("long"), &long).unwrap();
    assert_eq!(OsDisk.read(&dir.join("long"), 3_000_000).unwrap(), long);
    let refused = OsDisk.read(&dir.join("long"), 2_999_999);
    assert!(matches!(refused, Err(DiskError::TooLong { limit: 2_999_999, .. })));
}

#[test]
fn endless_file_is_read_no_further_than_the_limit() {
    // Its size says 0; only reading shows that it goes on.
    let (_home, dir) = home();
    OsDisk.create(&dir.join("grows"), b"12345").unwrap();
    let place = open::Place::of(&dir.join("grows")).unwrap();
    let (file, _) = place.open(rustix::fs::OFlags::RDONLY).unwrap();
    assert_eq!(steps::read_all(&OsDisk, file, 3, 0).unwrap(), b"1234");
}

#[test]
fn rename_never_replaces() {
    let (_home, dir) = home();
    OsDisk.create_dir(&dir.join("aside")).unwrap();
    OsDisk.create(&dir.join("a"), b"a").unwrap();
    OsDisk.create(&dir.join("aside/a"), b"other").unwrap();
    assert!(matches!(OsDisk.rename(&dir.join("a"), &dir.join("aside/a")), Err(DiskError::Exists)));
    OsDisk.rename(&dir.join("a"), &dir.join("aside/b")).unwrap();
    assert_eq!(OsDisk.read(&dir.join("aside/a"), 9).unwrap(), b"other");
    assert_eq!(OsDisk.read(&dir.join("aside/b"), 9).unwrap(), b"a");
    let missing = OsDisk.rename(&dir.join("a"), &dir.join("aside/c"));
    assert!(matches!(missing, Err(DiskError::NotFound)));
}

#[test]
fn symbolic_link_is_never_followed() {
    let (_home, dir) = home();
    OsDisk.create_dir(&dir.join("real")).unwrap();
    OsDisk.create(&dir.join("real/key"), b"key").unwrap();
    symlink(dir.join("real/key"), dir.join("link")).unwrap();
    symlink(dir.join("real"), dir.join("way")).unwrap();

    assert_unsafe(OsDisk.read(&dir.join("link"), 9), Danger::SymbolicLink);
    assert_unsafe(OsDisk.append(&dir.join("link")), Danger::SymbolicLink);
    for through_a_link in ["way/key", "way/new"] {
        let path = dir.join(through_a_link);
        assert_unsafe(OsDisk.read(&path, 9), Danger::SymbolicLink);
        assert_unsafe(OsDisk.create(&path, b"x"), Danger::SymbolicLink);
        assert_unsafe(OsDisk.replace(&path, b"x"), Danger::SymbolicLink);
        assert_unsafe(OsDisk.remove(&path), Danger::SymbolicLink);
        assert_unsafe(OsDisk.create_dir(&path), Danger::SymbolicLink);
    }
    assert_unsafe(OsDisk.list(&dir.join("way")), Danger::SymbolicLink);
    assert!(matches!(OsDisk.create(&dir.join("link"), b"x"), Err(DiskError::Exists)));

    OsDisk.replace(&dir.join("link"), b"new").unwrap();
    assert_eq!(OsDisk.read(&dir.join("link"), 9).unwrap(), b"new");
    assert_eq!(OsDisk.read(&dir.join("real/key"), 9).unwrap(), b"key");
}

#[test]
fn directory_swapped_for_a_link_after_it_was_opened_changes_nothing() {
    let (_home, dir) = home();
    OsDisk.create_dir(&dir.join("keys")).unwrap();
    OsDisk.create_dir(&dir.join("evil")).unwrap();
    OsDisk.create(&dir.join("keys/k"), b"ours").unwrap();
    OsDisk.create(&dir.join("evil/k"), b"theirs").unwrap();

    let place = open::Place::of(&dir.join("keys/k")).unwrap();
    fs::rename(dir.join("keys"), dir.join("gone")).unwrap();
    symlink(dir.join("evil"), dir.join("keys")).unwrap();

    let (file, _) = place.open(rustix::fs::OFlags::RDONLY).unwrap();
    assert_eq!(steps::read_all(&OsDisk, file, 9, 4).unwrap(), b"ours");
    assert_unsafe(OsDisk.read(&dir.join("keys/k"), 9), Danger::SymbolicLink);
}

#[test]
fn fifo_socket_and_directory_are_no_files_and_block_nobody() {
    let (_home, dir) = home();
    let fifo = dir.join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert_unsafe(OsDisk.read(&fifo, 9), Danger::NotAFile);
    assert_unsafe(OsDisk.append(&fifo), Danger::NotAFile);

    let _listener = UnixListener::bind(dir.join("socket")).unwrap();
    assert_unsafe(OsDisk.read(&dir.join("socket"), 9), Danger::NotAFile);

    OsDisk.create_dir(&dir.join("d")).unwrap();
    assert_unsafe(OsDisk.read(&dir.join("d"), 9), Danger::NotAFile);
    assert_unsafe(OsDisk.append(&dir.join("d")), Danger::NotAFile);
    assert_unsafe(OsDisk.replace(&dir.join("d"), b"x"), Danger::NotAFile);
    OsDisk.create(&dir.join("f"), b"").unwrap();
    assert_unsafe(OsDisk.create_dir(&dir.join("f")), Danger::NotADirectory);
    assert_unsafe(OsDisk.read(&dir.join("f/x"), 9), Danger::NotADirectory);
}

#[test]
fn file_open_to_others_is_refused() {
    let (_home, dir) = home();
    let file = dir.join("key");
    OsDisk.create(&file, b"key").unwrap();
    for wide in [0o644, 0o640, 0o604, 0o620, 0o602, 0o610] {
        chmod(&file, wide);
        assert_unsafe(OsDisk.read(&file, 9), Danger::Mode(wide));
        assert_unsafe(OsDisk.append(&file), Danger::Mode(wide));
    }
    chmod(&file, 0o400);
    assert_eq!(OsDisk.read(&file, 9).unwrap(), b"key");
}

#[test]
fn file_with_two_names_is_refused() {
    let (_home, dir) = home();
    OsDisk.create(&dir.join("a"), b"a").unwrap();
    fs::hard_link(dir.join("a"), dir.join("b")).unwrap();
    assert_unsafe(OsDisk.read(&dir.join("a"), 9), Danger::HardLinks(2));
    assert_unsafe(OsDisk.append(&dir.join("b")), Danger::HardLinks(2));
}

#[test]
fn directory_others_can_write_to_is_refused() {
    let (_home, dir) = home();
    let open = dir.join("open");
    OsDisk.create_dir(&open).unwrap();
    OsDisk.create(&open.join("key"), b"key").unwrap();
    for wide in [0o777, 0o770, 0o703] {
        chmod(&open, wide);
        assert_unsafe(OsDisk.read(&open.join("key"), 9), Danger::Mode(wide));
        assert_unsafe(OsDisk.create(&open.join("new"), b""), Danger::Mode(wide));
        assert_unsafe(OsDisk.list(&open), Danger::Mode(wide));
        assert_unsafe(OsDisk.create_dir(&open), Danger::Mode(wide));
    }
    chmod(&open, 0o1777);
    assert_eq!(OsDisk.read(&open.join("key"), 9).unwrap(), b"key");
    chmod(&open, 0o755);
    assert_unsafe(OsDisk.create_dir(&open), Danger::Mode(0o755));
}

#[test]
fn file_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return missing("root, to give a file away");
    }
    let (_home, dir) = home();
    OsDisk.create_dir(&dir.join("theirs")).unwrap();
    OsDisk.create(&dir.join("theirs/key"), b"key").unwrap();
    std::os::unix::fs::chown(dir.join("theirs/key"), Some(65534), None).unwrap();
    assert_unsafe(OsDisk.read(&dir.join("theirs/key"), 9), Danger::Owner(65534));
    assert_unsafe(OsDisk.append(&dir.join("theirs/key")), Danger::Owner(65534));
    std::os::unix::fs::chown(dir.join("theirs"), Some(65534), None).unwrap();
    assert_unsafe(OsDisk.create(&dir.join("theirs/x"), b""), Danger::Owner(65534));
    assert_unsafe(OsDisk.create_dir(&dir.join("theirs")), Danger::Owner(65534));
}

#[test]
fn path_that_leads_upwards_is_refused() {
    let (_home, dir) = home();
    OsDisk.create_dir(&dir.join("d")).unwrap();
    OsDisk.create(&dir.join("key"), b"key").unwrap();
    assert_unsafe(OsDisk.read(&dir.join("d/../key"), 9), Danger::Path);
    assert_unsafe(OsDisk.read(&dir.join("d/.."), 9), Danger::Path);
    assert_unsafe(OsDisk.list(&dir.join("d/..")), Danger::Path);
}

#[test]
fn umask_changes_no_mode() {
    if let Some(dir) = env::var_os("KMS_TEST_UMASK") {
        return make_one_of_each(Path::new(&dir));
    }
    for mask in ["000", "077", "177"] {
        let (_home, dir) = home();
        let status = Command::new(env::current_exe().unwrap())
            .args(["--exact", "durable::tests::umask_changes_no_mode"])
            .env("KMS_TEST_UMASK", &dir)
            .env("KMS_TEST_MASK", mask)
            .status()
            .unwrap();
        assert!(status.success());
        for (name, expected) in [("d", 0o700), ("c", 0o600), ("r", 0o600), ("a", 0o600)] {
            assert_eq!(mode(&dir.join(name)), expected, "{name} under umask {mask}");
        }
    }
}

/// In a process of its own, since a umask belongs to all threads.
fn make_one_of_each(dir: &Path) {
    let mask = u32::from_str_radix(&env::var("KMS_TEST_MASK").unwrap(), 8).unwrap();
    umask(Mode::from_raw_mode(mask));
    OsDisk.create_dir(&dir.join("d")).unwrap();
    OsDisk.create(&dir.join("c"), b"").unwrap();
    OsDisk.replace(&dir.join("r"), b"").unwrap();
    OsDisk.append(&dir.join("a")).unwrap();
}

#[test]
fn home_given_through_a_link_is_resolved_once() {
    let (_home, dir) = home();
    OsDisk.create_dir(&dir.join("real")).unwrap();
    symlink(dir.join("real"), dir.join("link")).unwrap();
    assert_eq!(resolve(&dir.join("link")).unwrap(), dir.join("real"));
    assert_eq!(resolve(&dir.join("link/new")).unwrap(), dir.join("real/new"));
    assert!(matches!(resolve(&dir.join("none/new")), Err(DiskError::NotFound)));
}

#[test]
fn leftovers_of_crashed_writes_are_swept_and_nothing_else() {
    let (_home, dir) = home();
    for name in [".tmp-0123456789abcdef", ".tmp-x", "key"] {
        OsDisk.create(&dir.join(name), b"x").unwrap();
    }
    assert_eq!(OsDisk.list(&dir).unwrap(), [".tmp-x", "key"]);
    assert_eq!(OsDisk.sweep(&dir).unwrap(), 1);
    let mut left: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".tmp-x", "key"]);
}

#[test]
fn appended_bytes_are_there_after_reopening() {
    let (_home, dir) = home();
    let mut file = OsDisk.append(&dir.join("log")).unwrap();
    assert!(file.is_empty());
    file.reserve(1_000_000).unwrap();
    file.write(b"one\n").unwrap();
    file.write(b"two\n").unwrap();
    file.sync().unwrap();
    assert_eq!(OsDisk.read(&dir.join("log"), 99).unwrap(), b"one\ntwo\n");
    drop(file);
    let mut file = OsDisk.append(&dir.join("log")).unwrap();
    assert_eq!(file.len(), 8);
    file.truncate(4).unwrap();
    assert!(file.truncate(5).is_err());
    file.write(b"2\n").unwrap();
    file.sync().unwrap();
    assert_eq!(OsDisk.read(&dir.join("log"), 99).unwrap(), b"one\n2\n");
}

/// Goes through every effect of `change` and every fault, and hands what is on the disk to `check`.
fn every_fault(
    prepare: impl Fn(&Path),
    change: impl Fn(&FaultyDisk, &Path) -> Result<(), DiskError>,
    check: impl Fn(Fault, bool, BTreeMap<String, Vec<u8>>),
) {
    for fault in [Fault::Stop, Fault::Eio, Fault::NoSpace, Fault::DoneButReported] {
        for fail_at in 0.. {
            let (_home, dir) = home();
            prepare(&dir);
            let disk = FaultyDisk::new(fail_at, fault);
            let done = change(&disk, &dir).is_ok();
            OsDisk.sweep(&dir).unwrap();
            let names = OsDisk.list(&dir).unwrap();
            let read = |name: String| (name.clone(), OsDisk.read(&dir.join(name), 99).unwrap());
            check(fault, done, names.into_iter().map(read).collect());
            if !disk.fired() {
                assert!(done, "untouched run failed");
                assert!(fail_at > 3, "only {fail_at} effects were seen");
                break;
            }
        }
    }
}

#[test]
fn replace_leaves_old_or_new_at_every_fault() {
    every_fault(
        |dir| OsDisk.create(&dir.join("k"), b"old").unwrap(),
        |disk, dir| disk.replace(&dir.join("k"), b"new"),
        |fault, done, files| {
            let found = files.get("k").map(Vec::as_slice).unwrap();
            assert!(found == b"new" || (!done && found == b"old"), "{fault:?} left {found:?}");
            assert_eq!(files.len(), 1);
        },
    );
}

#[test]
fn create_leaves_all_or_nothing_at_every_fault() {
    every_fault(
        |_| {},
        |disk, dir| disk.create(&dir.join("k"), b"new"),
        |fault, done, files| match files.get("k") {
            Some(found) => assert_eq!(found, b"new", "{fault:?}"),
            None => assert!(!done, "{fault:?}: reported and not there"),
        },
    );
}

#[test]
fn rename_and_remove_leave_one_of_the_two_at_every_fault() {
    every_fault(
        |dir| OsDisk.create(&dir.join("a"), b"a").unwrap(),
        |disk, dir| {
            disk.create_dir(dir)?;
            disk.rename(&dir.join("a"), &dir.join("b"))?;
            disk.remove(&dir.join("b"))
        },
        |fault, done, files| {
            assert!(files.len() <= 1, "{fault:?} left {files:?}");
            assert!(files.values().all(|bytes| bytes == b"a"));
            assert!(!done || files.is_empty(), "{fault:?} left {files:?}");
        },
    );
}

#[test]
fn append_never_loses_what_was_synced_at_every_fault() {
    every_fault(
        |_| {},
        |disk, dir| {
            let mut file = disk.append(&dir.join("log"))?;
            file.reserve(100)?;
            file.write(b"one\n")?;
            file.sync()?;
            file.write(b"two\n")?;
            file.sync()
        },
        |fault, done, files| {
            let found = files.get("log").cloned().unwrap_or_default();
            assert!(b"one\ntwo\n".starts_with(&found), "{fault:?} left {found:?}");
            assert!(!done || found.len() == 8);
            // Where the process lives on, nothing half written stays.
            assert!(fault == Fault::Stop || found.len() % 4 == 0, "{fault:?} left {found:?}");
        },
    );
}

#[test]
fn stopped_disk_does_nothing_any_more() {
    let (_home, dir) = home();
    OsDisk.create(&dir.join("k"), b"k").unwrap();
    let disk = FaultyDisk::new(0, Fault::Stop);
    assert!(disk.remove(&dir.join("k")).is_err());
    assert!(disk.fired());
    assert!(disk.create(&dir.join("l"), b"").is_err());
    assert!(disk.read(&dir.join("k"), 9).is_err());
    assert!(disk.list(&dir).is_err());
    assert!(disk.append(&dir.join("k")).is_err());
    assert_eq!(OsDisk.list(&dir).unwrap(), ["k"]);
}

#[test]
fn append_file_is_given_up_after_a_failed_sync() {
    let (_home, dir) = home();
    // 0 create, 1 chmod, 2 fsync, 3 fsync of the directory, 4 write, 5 sync
    let disk = FaultyDisk::new(5, Fault::Eio);
    let mut file = disk.append(&dir.join("log")).unwrap();
    file.write(b"one\n").unwrap();
    assert!(matches!(file.sync(), Err(DiskError::Io(_))));
    assert!(matches!(file.sync(), Err(DiskError::GivenUp { .. })));
    assert!(matches!(file.write(b"two\n"), Err(DiskError::GivenUp { .. })));
    assert!(matches!(file.reserve(1), Err(DiskError::GivenUp { .. })));
    assert!(matches!(file.truncate(0), Err(DiskError::GivenUp { .. })));
}

#[test]
fn faults_name_the_path() {
    let (_home, dir) = home();
    let refused = FaultyDisk::new(0, Fault::Eio).create(&dir.join("k"), b"").unwrap_err();
    assert!(refused.to_string().starts_with(dir.join("k").to_str().unwrap()), "{refused}");
}

#[test]
fn full_disk_refuses_and_leaves_all_as_it_was() {
    let Some(disk) = SmallDisk::mount(64) else { return missing("root, to mount a small disk") };
    let dir = disk.path();
    OsDisk.create(&dir.join("key"), b"old").unwrap();
    let mut log = OsDisk.append(&dir.join("log")).unwrap();
    log.write(b"one\n").unwrap();
    log.reserve(16_000).unwrap();
    assert!(matches!(log.reserve(1_000_000), Err(DiskError::NoSpace)));
    assert!(matches!(log.reserve(u64::MAX), Err(DiskError::NoSpace)));
    assert_eq!(log.len(), 4);

    let large = vec![1; 60_000];
    assert!(matches!(OsDisk.replace(&dir.join("key"), &large), Err(DiskError::NoSpace)));
    assert!(matches!(OsDisk.create(&dir.join("new"), &large), Err(DiskError::NoSpace)));
    assert_eq!(OsDisk.read(&dir.join("key"), 9).unwrap(), b"old");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "a temporary was left");

    // Others may fill the disk; what was reserved before is still ours.
    fs::write(dir.join("filler"), vec![0; 64_000]).unwrap_err();
    log.write(&[b'x'; 16_000]).unwrap();
    log.sync().unwrap();
    assert!(matches!(log.write(&large), Err(DiskError::NoSpace)));
    assert_eq!(OsDisk.read(&dir.join("log"), 99_999).unwrap().len(), 16_004);
}

#[test]
fn read_only_disk_is_named_as_such() {
    let Some(disk) = SmallDisk::mount(64) else { return missing("root, to mount a small disk") };
    let dir = disk.path();
    OsDisk.create(&dir.join("key"), b"old").unwrap();
    disk.remount_read_only();
    assert_eq!(OsDisk.read(&dir.join("key"), 9).unwrap(), b"old");
    assert!(matches!(OsDisk.replace(&dir.join("key"), b"x"), Err(DiskError::ReadOnly)));
    assert!(matches!(OsDisk.create(&dir.join("new"), b"x"), Err(DiskError::ReadOnly)));
    assert!(matches!(OsDisk.remove(&dir.join("key")), Err(DiskError::ReadOnly)));
    assert!(matches!(OsDisk.append(&dir.join("log")), Err(DiskError::ReadOnly)));
}
