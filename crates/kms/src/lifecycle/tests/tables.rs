//! The two tables that say what a key may become and what may be done with it, as a text that a
//! change of either shows up in.

use std::fmt::Write;

use crate::key::KeyState;
use crate::lifecycle::KeyOperation;
use crate::lifecycle::Transition;
use crate::lifecycle::allowed;
use crate::lifecycle::permits;

const ACCEPTED: &str = include_str!("tables.txt");

#[test]
fn tables_are_as_accepted() {
    let found = format!("{}\n{}\n{}", steps(), transitions(), operations());
    if std::env::var_os("ACCEPT_TABLES").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lifecycle/tests/tables.txt");
        std::fs::write(path, &found).unwrap();
        return;
    }
    let changes = difference(ACCEPTED, &found);
    assert!(
        changes.is_empty(),
        "the tables changed:\n{changes}\nif that is meant, accept it with\n    \
         ACCEPT_TABLES=1 cargo test -p virtengine-kms tables_are_as_accepted"
    );
}

#[test]
fn difference_shows_both_lines_and_surplus_ones() {
    assert_eq!(difference("a\nb\n", "a\nb\n"), "");
    assert_eq!(difference("a\nb\n", "a\nc\nd\n"), "-b\n+c\n+d\n");
}

/// Which state may follow which.
fn steps() -> String {
    let cell = |from, to| if allowed(from, to) { "yes" } else { "." };
    table("from \\ to", &KeyState::ALL.map(KeyState::name), |to| {
        KeyState::ALL.get(to).map(|to| KeyState::ALL.map(|from| cell(from, *to).to_owned()))
    })
}

/// Where each transition leads from each state.
fn transitions() -> String {
    let names = Transition::ALL.map(Transition::name);
    table("state \\ move", &names, |column| {
        let step = Transition::ALL.get(column)?;
        let cell = |from| step.target(from).map_or(".", KeyState::name);
        Some(KeyState::ALL.map(|from| cell(from).to_owned()))
    })
}

/// What each state permits.
fn operations() -> String {
    let names = KeyOperation::ALL.map(KeyOperation::name);
    table("state \\ use", &names, |column| {
        let operation = KeyOperation::ALL.get(column)?;
        let cell = |state| if permits(state, *operation) { "yes" } else { "." };
        Some(KeyState::ALL.map(|state| cell(state).to_owned()))
    })
}

/// One row a state; `column` gives the cells of the n-th column, state by state.
fn table(
    corner: &str,
    names: &[&str],
    column: impl Fn(usize) -> Option<[String; KeyState::ALL.len()]>,
) -> String {
    let columns: Vec<_> = (0..names.len()).map(|n| column(n).unwrap()).collect();
    let width = |n: usize| columns[n].iter().map(String::len).chain([names[n].len()]).max();
    let mut text = format!("{corner:14}");
    for (n, name) in names.iter().enumerate() {
        write!(text, "{name:w$}", w = width(n).unwrap() + 2).unwrap();
    }
    text = text.trim_end().to_owned() + "\n";
    for (row, state) in KeyState::ALL.into_iter().enumerate() {
        let mut line = format!("{state:14}");
        for (n, cells) in columns.iter().enumerate() {
            write!(line, "{:w$}", cells[row], w = width(n).unwrap() + 2).unwrap();
        }
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    text
}

fn difference(expected: &str, found: &str) -> String {
    let (mut old, mut new) = (expected.lines(), found.lines());
    let mut changes = String::new();
    loop {
        let (before, after) = (old.next(), new.next());
        if before.is_none() && after.is_none() {
            return changes;
        }
        if before == after {
            continue;
        }
        before.into_iter().for_each(|line| writeln!(changes, "-{line}").unwrap());
        after.into_iter().for_each(|line| writeln!(changes, "+{line}").unwrap());
    }
}
