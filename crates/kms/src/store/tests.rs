//! The store against crashes, full disks and other programs.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use serde::Deserialize;
use tempfile::TempDir;

use super::*;
use crate::durable::Danger;
use crate::durable::testing;
use crate::durable::testing::SmallDisk;
use crate::key::KeyState;
use crate::time::Timestamp;

mod tampering;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    id: String,
    text: String,
}

impl Document for Note {
    const KIND: &'static str = "note";

    fn document_id(&self) -> String {
        self.id.clone()
    }
}

#[test]
fn page_is_what_comes_after_in_order() {
    let (_home, path) = home();
    let store = Store::create(&path, &store_key()).unwrap();
    change(&store, |tx| {
        ["b", "d", "a", "c"].iter().try_for_each(|id| tx.insert(&note(id, "x")))?;
        tx.insert(&Policy { id: "bb".to_owned(), text: "of another kind".to_owned() })
    });
    let ids = |after, limit| -> Vec<String> {
        store.page::<Note>(after, limit).unwrap().into_iter().map(|note| note.id).collect()
    };
    assert_eq!(ids("", 3), ["a", "b", "c"]);
    assert_eq!(ids("b", 9), ["c", "d"]);
    assert_eq!(ids("d", 9), [""; 0]);
    assert_eq!(ids("", 0), [""; 0]);
}

/// The same shape under another kind.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Policy {
    id: String,
    text: String,
}

impl Document for Policy {
    const KIND: &'static str = "policy";

    fn document_id(&self) -> String {
        self.id.clone()
    }
}

fn note(id: &str, text: &str) -> Note {
    Note { id: id.to_owned(), text: text.to_owned() }
}

fn step(reason: &str) -> Move {
    Move {
        from: None,
        to: KeyState::Active,
        at: Timestamp::EPOCH,
        by: "system".to_owned(),
        reason: reason.to_owned(),
    }
}

fn store_key() -> SecretBytes {
    SecretBytes::copy_from(&[7; 32])
}

fn key_id(byte: u8) -> KeyId {
    KeyId::from_random([byte; 16])
}

fn home() -> (TempDir, PathBuf) {
    let (home, path) = testing::home();
    (home, path.join("kms.db"))
}

fn change(store: &Store, change: impl FnOnce(&mut Transaction<'_>) -> Result<(), StoreError>) {
    store.transact("testing", change).unwrap();
}

/// A closed store with something in every table.
fn filled() -> (TempDir, PathBuf) {
    let (home, path) = home();
    let store = Store::create(&path, &store_key()).unwrap();
    change(&store, |tx| {
        for n in 0..10 {
            tx.insert(&note(&format!("n{n}"), &"text ".repeat(n)))?;
        }
        tx.insert(&Policy { id: "n1".to_owned(), text: "strict".to_owned() })?;
        tx.append_history(key_id(1), &step("made"))?;
        tx.append_history(key_id(2), &step("other"))?;
        tx.append_history(key_id(1), &step("used"))?;
        tx.outbox("r1", 10, b"line one\n")?;
        tx.outbox("r2", 10, b"line two\n")?;
        tx.set_meta("home", "h-1")?;
        tx.set_meta("anchor", "10:abcd")
    });
    store.close().unwrap();
    (home, path)
}

/// Everything a store says, so that two can be compared.
fn contents(store: &Store) -> Result<BTreeMap<String, String>, StoreError> {
    let mut all = BTreeMap::new();
    for found in store.read_all::<Note>()? {
        assert_eq!(store.read::<Note>(&found.id)?.as_ref(), Some(&found));
        all.insert(format!("note {}", found.id), found.text);
    }
    for found in store.read_all::<Policy>()? {
        all.insert(format!("policy {}", found.id), found.text);
    }
    for key in [key_id(1), key_id(2), key_id(3)] {
        all.insert(key.to_string(), format!("{:?}", store.history(key)?));
    }
    all.insert("outbox".to_owned(), format!("{:?}", store.pending_outbox()?));
    for name in ["home", "anchor", "none"] {
        all.insert(format!("meta {name}"), format!("{:?}", store.meta(name)?));
    }
    Ok(all)
}

#[test]
fn what_was_put_is_read_back_after_reopening() {
    let (_home, path) = filled();
    let store = Store::open(&path, &store_key()).unwrap();
    let ids: Vec<_> = store.read_all::<Note>().unwrap().into_iter().map(|n| n.id).collect();
    assert_eq!(ids, ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"]);
    assert_eq!(store.read::<Note>("n3").unwrap().unwrap().text, "text text text ");
    assert_eq!(store.read::<Policy>("n1").unwrap().unwrap().text, "strict");
    assert_eq!(store.read::<Policy>("n2").unwrap(), None);
    assert_eq!(store.history(key_id(1)).unwrap(), [step("made"), step("used")]);
    assert_eq!(store.history(key_id(3)).unwrap(), []);
    assert_eq!(store.meta("home").unwrap().as_deref(), Some("h-1"));
    assert_eq!(store.meta("none").unwrap(), None);
}

#[test]
fn put_replaces_and_insert_does_not() {
    let (_home, path) = filled();
    let store = Store::open(&path, &store_key()).unwrap();
    let refused = store.transact("testing", |tx| tx.insert(&note("n1", "again")));
    assert!(matches!(refused, Err(StoreError::Exists { kind: "note", id }) if id == "n1"));
    change(&store, |tx| {
        assert!(tx.insert(&note("n1", "again")).is_err());
        tx.put(&note("n1", "new"))?;
        assert_eq!(tx.read::<Note>("n1")?.unwrap().text, "new");
        assert!(tx.delete::<Note>("n2")?);
        assert!(!tx.delete::<Note>("n2")?);
        tx.set_meta("home", "h-2")?;
        assert_eq!(tx.meta("home")?.as_deref(), Some("h-2"));
        Ok(())
    });
    let before = contents(&store).unwrap();
    assert_eq!(before["note n1"], "new");
    assert!(!before.contains_key("note n2"));
    store.close().unwrap();
    let store = Store::open(&path, &store_key()).unwrap();
    assert_eq!(contents(&store).unwrap(), before);
}

#[test]
fn refused_change_leaves_nothing() {
    let (_home, path) = filled();
    let store = Store::open(&path, &store_key()).unwrap();
    let before = contents(&store).unwrap();
    let refused = store.transact("testing", |tx| {
        tx.put(&note("n1", "new"))?;
        tx.outbox("r3", 10, b"line three\n")?;
        Err::<(), _>(StoreError::Altered)
    });
    assert!(matches!(refused, Err(StoreError::Altered)));
    assert_eq!(contents(&store).unwrap(), before);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        change(&store, |tx| {
            tx.put(&note("n1", "new"))?;
            panic!("in the middle")
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(contents(&store).unwrap(), before);
    store.close().unwrap();
    assert_eq!(contents(&Store::open(&path, &store_key()).unwrap()).unwrap(), before);
}

#[test]
fn killed_process_leaves_what_it_committed_and_nothing_else() {
    if let Some(path) = env::var_os("KMS_TEST_STORE") {
        return die_in_a_transaction(Path::new(&path));
    }
    let (_home, path) = filled();
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "store::tests::killed_process_leaves_what_it_committed_and_nothing_else"])
        .env("KMS_TEST_STORE", &path)
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(6), "the child did not abort");
    assert!(beside(&path, "-wal").exists(), "the crash left no write-ahead log");
    let store = Store::open(&path, &store_key()).unwrap();
    assert_eq!(store.read::<Note>("n1").unwrap().unwrap().text, "committed");
    assert_eq!(store.read::<Note>("n2").unwrap().unwrap().text, "text text ");
    assert_eq!(store.pending_outbox().unwrap().len(), 3);
}

fn die_in_a_transaction(path: &Path) {
    let store = Store::open(path, &store_key()).unwrap();
    change(&store, |tx| {
        tx.put(&note("n1", "committed"))?;
        tx.outbox("r3", 12, b"line three\n").map(drop)
    });
    change(&store, |tx| {
        tx.put(&note("n2", "not committed"))?;
        tx.outbox("r4", 12, b"line four\n")?;
        std::process::abort()
    });
}

#[test]
fn outgoing_records_stay_until_cleared_and_keep_their_order() {
    let (_home, path) = filled();
    let store = Store::open(&path, &store_key()).unwrap();
    let rids = |store: &Store| -> Vec<(i64, String)> {
        store.pending_outbox().unwrap().into_iter().map(|o| (o.position, o.rid)).collect()
    };
    let first = store.pending_outbox().unwrap().remove(0);
    let body = b"line one\n".to_vec();
    assert_eq!(first, Outgoing { position: 1, rid: "r1".to_owned(), log_size: 10, body });
    store.clear_outbox(1);
    assert_eq!(rids(&store), [(2, "r2".to_owned())]);
    drop(store);
    let store = Store::open(&path, &store_key()).unwrap();
    assert_eq!(rids(&store).len(), 2, "cleared lazily: a crash leaves it pending");

    [1, 2, 99].into_iter().for_each(|position| store.clear_outbox(position));
    change(&store, |tx| tx.outbox("r3", 12, b"three\n").map(drop));
    assert_eq!(rids(&store), [(3, "r3".to_owned())]);
    store.clear_outbox(3);
    store.close().unwrap();
    let store = Store::open(&path, &store_key()).unwrap();
    assert_eq!(rids(&store), []);
}

#[test]
fn record_in_the_log_does_not_take_an_earlier_one_along_that_is_not() {
    let (_home, path) = filled();
    let store = Store::open(&path, &store_key()).unwrap();
    let rids = |store: &Store| -> Vec<String> {
        store.pending_outbox().unwrap().into_iter().map(|o| o.rid).collect()
    };
    store.clear_outbox(2); // the caller of `r1` committed first and is slower
    assert_eq!(rids(&store), ["r1"]);
    change(&store, |tx| tx.outbox("r3", 12, b"three\n").map(drop));
    store.clear_outbox(3);
    change(&store, |tx| tx.put(&note("n1", "a later transaction")));
    assert_eq!(rids(&store), ["r1"]);
    store.close().unwrap();
    let store = Store::open(&path, &store_key()).unwrap();
    assert_eq!(rids(&store)[..1], ["r1"], "it is appended at the next start");
}

#[test]
fn other_key_is_refused() {
    let (_home, path) = filled();
    let other = SecretBytes::copy_from(&[8; 32]);
    assert!(matches!(Store::open(&path, &other), Err(StoreError::WrongKey)));
    assert!(matches!(Store::open(&path, &SecretBytes::zeroed(31)), Err(StoreError::WrongKey)));
}

#[test]
fn newer_schema_is_refused_and_older_is_brought_up_to_date() {
    let (_home, path) = filled();
    let newer: Vec<_> = [sql::MIGRATIONS, &["CREATE TABLE later (a TEXT)"]].concat();
    let expected = contents(&Store::open(&path, &store_key()).unwrap()).unwrap();
    for _ in 0..2 {
        let store = Store::open_with(&path, &store_key(), &newer).unwrap();
        assert_eq!(contents(&store).unwrap(), expected);
        change(&store, |tx| tx.set_meta("home", "h-1"));
    }
    let refused = Store::open(&path, &store_key()).unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 2, known: 1 }));
    assert_eq!(
        refused.to_string(),
        "the store: has schema 2, this program knows schemas up to 1: use a newer one"
    );
}

#[test]
fn create_replaces_nothing_and_begins_anew_after_a_crash() {
    let (_home, path) = filled();
    let again = Store::create(&path, &store_key());
    assert!(matches!(again, Err(StoreError::Disk(DiskError::Exists))));
    assert!(Store::open(&path, &store_key()).is_ok());

    let (_home, path) = home();
    for left in [".new", ".new-journal", ".new-wal"] {
        fs::write(beside(&path, left), b"half").unwrap();
    }
    assert!(matches!(Store::open(&path, &store_key()), Err(StoreError::Disk(DiskError::NotFound))));
    Store::create(&path, &store_key()).unwrap().close().unwrap();
    assert_eq!(OsDisk.list(path.parent().unwrap()).unwrap(), ["kms.db"]);
}

#[test]
fn file_that_is_a_link_or_open_to_others_is_refused() {
    let (_home, path) = filled();
    let link = path.with_file_name("link.db");
    symlink(&path, &link).unwrap();
    let danger = |result| match result {
        Err(StoreError::Disk(DiskError::Unsafe { why, .. })) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(danger(Store::open(&link, &store_key())), Danger::SymbolicLink);
    assert_eq!(danger(Store::create(&link, &store_key())), Danger::SymbolicLink);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert_eq!(danger(Store::open(&path, &store_key())), Danger::Mode(0o640));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(&path, path.with_file_name("second.db")).unwrap();
    assert_eq!(danger(Store::open(&path, &store_key())), Danger::HardLinks(2));
    fs::remove_file(path.with_file_name("second.db")).unwrap();
    symlink("/etc/passwd", beside(&path, "-wal")).unwrap();
    assert_eq!(danger(Store::open(&path, &store_key())), Danger::SymbolicLink);
}

#[test]
fn files_of_the_store_are_closed_to_others() {
    let (_home, path) = home();
    let store = Store::create(&path, &store_key()).unwrap();
    change(&store, |tx| tx.put(&note("a", "b")));
    let directory = path.parent().unwrap();
    let names = OsDisk.list(directory).unwrap();
    assert_eq!(names, ["kms.db", "kms.db-wal"]);
    for name in names {
        let mode = fs::metadata(directory.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
}

#[test]
fn open_store_is_closed_to_every_other_connection() {
    let (_home, path) = filled();
    let _store = Store::open(&path, &store_key()).unwrap();
    assert!(matches!(Store::open(&path, &store_key()), Err(StoreError::Busy)));
}

#[test]
fn settings_that_keep_the_promises_are_on() {
    let (_home, path) = filled();
    let store = Store::open(&path, &store_key()).unwrap();
    let inner = store.inner();
    let text =
        |pragma| inner.connection.pragma_query_value(None, pragma, |r| r.get::<_, String>(0));
    let number = |pragma| inner.connection.pragma_query_value(None, pragma, |r| r.get::<_, i64>(0));
    assert_eq!(text("journal_mode").unwrap(), "wal");
    assert_eq!(text("locking_mode").unwrap(), "exclusive");
    assert_eq!(number("synchronous").unwrap(), 2);
    assert_eq!(number("trusted_schema").unwrap(), 0);
    assert_eq!(number("cell_size_check").unwrap(), 1);
    assert_eq!(number("temp_store").unwrap(), 2);
}

#[test]
fn full_disk_refuses_leaves_all_as_it_was_and_recovers() {
    let Some(disk) = SmallDisk::mount(400) else {
        return testing::missing("root, to mount a small disk");
    };
    let path = disk.path().join("kms.db");
    let store = Store::create(&path, &store_key()).unwrap();
    change(&store, |tx| tx.put(&note("a", "old")));
    let long = "x".repeat(500_000);
    let refused = store.transact("testing", |tx| {
        tx.put(&note("a", "new"))?;
        tx.put(&note("b", &long))
    });
    assert!(matches!(refused, Err(StoreError::NoSpace)), "{refused:?}");
    assert_eq!(store.read::<Note>("a").unwrap().unwrap().text, "old");

    change(&store, |tx| tx.put(&note("a", "small enough")));
    store.close().unwrap();
    let store = Store::open(&path, &store_key()).unwrap();
    assert_eq!(store.read_all::<Note>().unwrap(), [note("a", "small enough")]);
}

#[test]
fn transaction_the_database_rolled_back_is_not_gone_on_with() {
    let (_home, path) = filled();
    let store = Store::open(&path, &store_key()).unwrap();
    let before = contents(&store).unwrap();
    let refused = store.transact("testing", |tx| {
        tx.put(&note("n1", "new"))?;
        tx.execute_for_test("ROLLBACK");
        let _ = tx.put(&note("n2", "outside any transaction"));
        Ok::<_, StoreError>(())
    });
    assert!(matches!(refused, Err(StoreError::RolledBack)), "{refused:?}");
    assert_eq!(contents(&store).unwrap(), before);
}

#[test]
fn store_is_given_up_after_a_commit_that_failed() {
    let (_home, path) = filled();
    let store = Store::open(&path, &store_key()).unwrap();
    let fails_at_commit = "PRAGMA foreign_keys = ON; CREATE TABLE p (a INTEGER PRIMARY KEY);
        CREATE TABLE c (a INTEGER REFERENCES p (a) DEFERRABLE INITIALLY DEFERRED)";
    store.inner().connection.execute_batch(fails_at_commit).unwrap();
    store.check_not_given_up().unwrap();
    let failed = store.transact("testing", |tx| {
        tx.put(&note("n1", "new"))?;
        tx.execute_for_test("INSERT INTO c VALUES (1)");
        Ok::<_, StoreError>(())
    });
    assert!(matches!(failed, Err(StoreError::Database { doing: "testing", .. })), "{failed:?}");
    let refused = store.transact("testing", |tx| tx.put(&note("n1", "new")));
    assert!(matches!(refused, Err(StoreError::GivenUp)));
    assert!(matches!(store.check_not_given_up(), Err(StoreError::GivenUp)));
    assert_eq!(store.read::<Note>("n1").unwrap().unwrap().text, "text ");
    store.close().unwrap();
    let store = Store::open(&path, &store_key()).unwrap();
    assert_eq!(store.read::<Note>("n1").unwrap().unwrap().text, "text ");
}
