//! The store against whoever edits its file.

use rusqlite::params;

use super::*;

/// Edits the file as someone with an SQL shell would.
fn edit(path: &Path, text: &str) {
    let connection = Connection::open(path).unwrap();
    assert!(connection.execute(text, []).unwrap() > 0, "`{text}` changed nothing");
}

#[test]
fn edited_column_is_refused_and_located() {
    let edits = [
        ("UPDATE document SET body = replace(body, 'text', 'test') WHERE id = 'n3'", "note", "n3"),
        ("UPDATE document SET id = 'n99' WHERE id = 'n3'", "note", "n99"),
        ("UPDATE document SET kind = 'policy' WHERE id = 'n3'", "policy", "n3"),
        ("UPDATE document SET tag = zeroblob(32) WHERE id = 'n3'", "note", "n3"),
        ("UPDATE document SET tag = x'' WHERE id = 'n3'", "note", "n3"),
        ("UPDATE document SET body = CAST(body AS BLOB) WHERE id = 'n3'", "note", "n3"),
        ("UPDATE document SET id = CAST(id AS BLOB) WHERE id = 'n3'", "note", "n3"),
        ("UPDATE document SET body = 5 WHERE id = 'n3'", "note", "n3"),
        (
            "UPDATE document SET (body, tag) = (SELECT body, tag FROM document WHERE id = 'n4') \
             WHERE id = 'n3'",
            "note",
            "n3",
        ),
        (
            "UPDATE document SET (body, tag) = (SELECT body, tag FROM document WHERE kind = \
             'policy') WHERE kind = 'note' AND id = 'n1'",
            "note",
            "n1",
        ),
        ("UPDATE outbox SET body = 'other' WHERE position = 2", "outbox", "2"),
        ("UPDATE outbox SET rid = 'r9' WHERE position = 2", "outbox", "2"),
        ("UPDATE outbox SET log_size = 11 WHERE position = 2", "outbox", "2"),
        ("UPDATE outbox SET position = 7 WHERE position = 2", "outbox", "7"),
        ("UPDATE meta SET value = '0:' WHERE name = 'anchor'", "meta", "anchor"),
        ("UPDATE meta SET name = 'other' WHERE name = 'anchor'", "meta", "other"),
    ];
    for (text, expected_kind, expected_id) in edits {
        let (_home, path) = filled();
        edit(&path, text);
        match Store::open(&path, &store_key()) {
            Err(StoreError::Tampered { kind, id }) => {
                assert_eq!((&*kind, &*id), (expected_kind, expected_id), "after `{text}`");
            }
            other => panic!("`{text}` gave {other:?}"),
        }
    }
}

#[test]
fn edited_history_is_refused_and_located() {
    for text in [
        "UPDATE history SET body = replace(body, 'made', 'lost') WHERE seq = 0",
        "UPDATE history SET seq = 5 WHERE seq = 1",
        "UPDATE history SET tag = zeroblob(32) WHERE seq = 1",
    ] {
        let (_home, path) = filled();
        edit(&path, text);
        let refused = Store::open(&path, &store_key()).unwrap_err();
        assert!(
            matches!(&refused, StoreError::Tampered { kind, .. } if kind == "history"),
            "{text}"
        );
        assert!(refused.to_string().contains("k-01010101"), "{refused}");
    }
    let (_home, path) = filled();
    let (one, two) = (key_id(1).to_string(), key_id(2).to_string());
    edit(
        &path,
        &format!("UPDATE history SET key_id = '{two}', seq = 1 WHERE key_id = '{one}' AND seq = 1"),
    );
    assert!(matches!(Store::open(&path, &store_key()), Err(StoreError::Tampered { .. })));
}

#[test]
fn row_edited_while_the_store_is_open_is_refused_at_the_next_read() {
    let (_home, path) = filled();
    let store = Store::open(&path, &store_key()).unwrap();
    // Through the store's own connection: the file itself is locked against everyone else.
    let text = "UPDATE document SET body = replace(body, 'text', 'test') WHERE id = 'n3'";
    store.inner().connection.execute(text, []).unwrap();
    let is_n3 = |e: StoreError| matches!(e, StoreError::Tampered { id, .. } if id == "n3");
    assert!(is_n3(store.read::<Note>("n3").unwrap_err()));
    assert!(is_n3(store.read_all::<Note>().unwrap_err()));
    assert!(is_n3(store.transact("testing", |tx| tx.put(&note("n3", "new"))).unwrap_err()));
    assert!(is_n3(store.transact("testing", |tx| tx.delete::<Note>("n3")).unwrap_err()));
    assert_eq!(store.read::<Note>("n4").unwrap().unwrap().id, "n4");
}

#[test]
fn removed_added_and_restored_rows_are_noticed() {
    for text in [
        "DELETE FROM document WHERE id = 'n3'",
        "DELETE FROM document",
        "DELETE FROM history WHERE seq = 1",
        "DELETE FROM outbox",
        "DELETE FROM meta WHERE name = 'anchor'",
        "UPDATE store SET seal = zeroblob(32)",
    ] {
        let (_home, path) = filled();
        edit(&path, text);
        let refused = Store::open(&path, &store_key());
        assert!(matches!(refused, Err(StoreError::Altered)), "`{text}` gave {refused:?}");
    }
}

#[test]
fn row_put_back_as_it_once_was_is_noticed() {
    let (_home, path) = filled();
    let row = "SELECT body, tag FROM document WHERE kind = 'note' AND id = 'n3'";
    let both = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?));
    let old = Connection::open(&path).unwrap().query_row(row, [], both).unwrap();

    let store = Store::open(&path, &store_key()).unwrap();
    change(&store, |tx| tx.put(&note("n3", "suspended")));
    store.close().unwrap();

    let put_back = "UPDATE document SET body = $1, tag = $2 WHERE kind = 'note' AND id = 'n3'";
    let connection = Connection::open(&path).unwrap();
    assert_eq!(connection.execute(put_back, params![old.0, old.1]).unwrap(), 1);
    connection.close().unwrap();
    assert!(matches!(Store::open(&path, &store_key()), Err(StoreError::Altered)));
}

#[test]
fn flipped_byte_never_gives_other_documents() {
    let (_home, path) = filled();
    let expected = contents(&Store::open(&path, &store_key()).unwrap()).unwrap();
    let whole = fs::read(&path).unwrap();
    let (_other, copy) = home();
    let (mut refused, mut unharmed) = (0, 0);
    // The head of each page, which says where everything is, and a sample of what is written and
    // of what is free.
    let chosen = (0..whole.len())
        .filter(|at| at % 4096 < 40 || at % if whole[*at] == 0 { 97 } else { 5 } == 0);
    for at in chosen {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&copy, &flipped).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(0o600)).unwrap();
        match Store::open(&copy, &store_key()).and_then(|store| contents(&store)) {
            Ok(found) => {
                assert_eq!(found, expected, "byte {at} flipped");
                unharmed += 1;
            }
            Err(_) => refused += 1,
        }
        for left in ["-wal", "-journal"] {
            let _ = fs::remove_file(beside(&copy, left));
        }
    }
    assert!(refused > 300 && unharmed > 100, "{refused} refused, {unharmed} unharmed");
}

#[test]
fn trigger_planted_in_the_file_never_runs() {
    let (_home, path) = filled();
    let planted = "CREATE TRIGGER t AFTER UPDATE ON document BEGIN DELETE FROM meta; END";
    Connection::open(&path).unwrap().execute_batch(planted).unwrap();
    let store = Store::open(&path, &store_key()).unwrap();
    change(&store, |tx| tx.put(&note("n1", "new")));
    assert_eq!(store.meta("home").unwrap().as_deref(), Some("h-1"));
}
