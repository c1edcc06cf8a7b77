//! Holds the sources to the architecture: what a module may name.
//!
//! Reads the sources as rustfmt leaves them. Comments and what is compiled for tests only do not
//! count.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Which parts of which other stages a stage may name. Only `manager` composes stages.
const STAGES: [(&str, &[&str]); 7] = [
    ("audit", &[]),
    ("access", &[]),
    // A grant, and what it was given for.
    ("lifecycle", &["access::Grant", "access::GrantedTarget", "access::Permission"]),
    ("compromise", &["lifecycle"]),
    // The one place where a cleared vote becomes the signing of its bytes.
    ("consensus", &["compromise::Cleared", "lifecycle::uses"]),
    // What was cleared is one of the uses; what was made is sealed with its record.
    ("storage", &["compromise", "lifecycle::uses", "audit::Draft", "audit::Unreleased"]),
    // Rules are for keys in a scope; signatures are verified where all are.
    ("multisig", &["access::Scope", "storage::verify"]),
];

/// The one module that may name several stages.
const COMPOSER: &str = "manager";

/// What only these modules touch: the disk, the database, the bytes of a vote, the clock; and what
/// none does.
const EFFECTS: [(&str, &[&str]); 12] = [
    ("std::fs", &["durable"]),
    ("rustix::fs", &["durable"]),
    ("rusqlite", &["store"]),
    (".into_signing(", &["consensus"]),
    ("SystemTime::now", &["time"]),
    ("std::env", &[]),
    ("std::os::unix::net", &[]),
    ("std::net::Tcp", &[]),
    ("std::net::Udp", &[]),
    ("std::process::Command", &[]),
    ("std::io::stdin", &[]),
    ("std::io::stdout", &[]),
];

/// The code of one module, its files together.
type Modules = BTreeMap<String, String>;

#[test]
fn modules_name_only_modules_above_them() {
    let order = order();
    let modules = modules();
    let listed: BTreeSet<_> = order.iter().cloned().collect();
    let found: BTreeSet<_> = modules.keys().cloned().collect();
    assert_eq!(listed, found, "the modules of lib.rs, and those with a file");
    for (rank, module) in order.iter().enumerate() {
        let below = &order[rank + 1..];
        assert_eq!(
            named_below(&modules[module], below),
            [""; 0],
            "{module} names what is below it"
        );
    }
}

#[test]
fn imports_can_be_found_by_searching_for_their_path() {
    for (module, code) in modules() {
        for hidden in ["crate::{", "super::", "crate::*", "use crate;"] {
            assert!(!code.contains(hidden), "{module} has `{hidden}`");
        }
    }
}

#[test]
fn stages_name_each_other_only_as_the_table_says() {
    for (module, code) in modules() {
        assert_eq!(forbidden_stages(&module, &code), [""; 0], "named by {module}");
    }
}

#[test]
fn effects_stay_in_their_modules() {
    for (module, code) in modules() {
        assert_eq!(forbidden_effects(&module, &code), [""; 0], "touched by {module}");
    }
}

#[test]
fn test_sees_what_it_forbids() {
    let order = ["storage".to_owned(), "manager".to_owned()];
    assert_eq!(named_below("use crate::manager::KeyManager;", &order), ["manager"]);
    assert_eq!(named_below("use crate::managers::X;", &order), [""; 0]);

    let grant = "use crate::access::Grant;";
    assert_eq!(forbidden_stages("lifecycle", grant), [""; 0]);
    assert_eq!(forbidden_stages("lifecycle", "use crate::access::Granted;"), ["access::Granted"]);
    assert_eq!(forbidden_stages("audit", grant), ["access::Grant"]);
    assert_eq!(forbidden_stages("backup", grant), [""; 0]);
    let two = "use crate::access::Grant;\nuse crate::storage::Kind;";
    assert_eq!(forbidden_stages("backup", two), ["access::Grant", "storage::Kind"]);
    assert_eq!(forbidden_stages("manager", two), [""; 0]);

    assert_eq!(forbidden_effects("store", "let c = rusqlite::Connection::open(p);"), [""; 0]);
    assert_eq!(forbidden_effects("audit", "std::fs::write(p, b)"), ["std::fs"]);
}

#[test]
fn comments_and_tests_do_not_count() {
    let text = "//! Not [`crate::a`].\nuse crate::b; // nor crate::c\n#[cfg(test)]\nmod tests {\n    \
                use crate::d;\n}\n#[cfg(test)]\npub(crate) mod testing;\nfn e() -> crate::f::G {\n    \
                #[cfg(test)]\n    crate::h::i();\n    crate::j::k()\n}\n";
    assert_eq!(paths(&code_of(text)).collect::<Vec<_>>(), ["b", "f::G", "j::k"]);
    assert_eq!(test_files(text), ["tests", "testing"]);
}

fn named_below<'a>(code: &str, below: &'a [String]) -> Vec<&'a str> {
    let named: BTreeSet<_> = paths(code).map(first).collect();
    below.iter().map(String::as_str).filter(|module| named.contains(module)).collect()
}

fn forbidden_stages<'a>(module: &str, code: &'a str) -> Vec<&'a str> {
    let is_stage = |name: &str| STAGES.iter().any(|(stage, _)| *stage == name);
    let others = |path: &&str| is_stage(first(path)) && first(path) != module;
    let named: Vec<_> = paths(code).filter(others).collect();
    match STAGES.iter().find(|(stage, _)| *stage == module) {
        Some((_, allowed)) => {
            let is_in = |path: &str, part: &str| {
                path.strip_prefix(part)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            let forbidden = |path: &&str| !allowed.iter().any(|part| is_in(path, part));
            named.into_iter().filter(forbidden).collect()
        }
        None if module == COMPOSER => Vec::new(),
        None => {
            let stages: BTreeSet<_> = named.iter().map(|path| first(path)).collect();
            if stages.len() < 2 { Vec::new() } else { named }
        }
    }
}

fn forbidden_effects(module: &str, code: &str) -> Vec<&'static str> {
    let touched = |(effect, allowed): &(&'static str, &[&str])| {
        (code.contains(effect) && !allowed.contains(&module)).then_some(*effect)
    };
    EFFECTS.iter().filter_map(touched).collect()
}

/// The modules of the crate, in the order of lib.rs.
fn order() -> Vec<String> {
    let text = fs::read_to_string(sources().join("lib.rs")).unwrap();
    let code = code_of(&text);
    let name = |line: &str| Some(line.split_once("mod ")?.1.strip_suffix(';')?.to_owned());
    code.lines().filter_map(name).collect()
}

/// The modules of the crate with their code, folders included.
fn modules() -> Modules {
    let mut modules = Modules::new();
    for path in files_in(&sources()) {
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if module != "lib" {
            modules.insert(module, module_code(&path));
        }
    }
    modules
}

/// The code of a file and of the folder beside it.
fn module_code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let for_tests = test_files(&text);
    let mut code = code_of(&text);
    for child in files_in(&path.with_extension("")) {
        let name = child.file_stem().unwrap().to_str().unwrap();
        if !for_tests.iter().any(|file| file == name) {
            code.push_str(&module_code(&child));
        }
    }
    code
}

/// The Rust files in a folder, if there is one.
fn files_in(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    files
}

fn sources() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// A text without comments and without items for tests.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            skip_item(&mut lines, line.len() - line.trim_start().len());
        } else if !line.trim_start().starts_with("//") {
            code.push_str(line.split(" // ").next().unwrap());
            code.push('\n');
        }
    }
    code
}

/// Skips an item that begins `indent` deep: to the end of its line, or to its closing bracket,
/// which rustfmt puts as deep.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>, indent: usize) {
    let closes =
        |line: &str| line.get(indent..).is_some_and(|rest| rest.starts_with(['}', ']', ')']));
    let first = lines.find(|line| !line.trim_start().starts_with(['#', '/'])).unwrap_or_default();
    let opens = first.ends_with(['{', '[', '(', '=']);
    if opens {
        let _ = lines.find(|line| closes(line));
    }
}

/// The files that a text declares for tests only.
fn test_files(text: &str) -> Vec<String> {
    let mut lines = text.lines();
    let mut files = Vec::new();
    while lines.by_ref().any(|line| line.trim() == "#[cfg(test)]") {
        let item = lines.find(|line| !line.trim_start().starts_with('#')).unwrap_or_default();
        if let Some((_, name)) = item.split_once("mod ") {
            files.push(name.trim_end_matches([';', '{', ' ']).to_owned());
        }
    }
    files
}

/// Every path that begins with `crate::`, without it.
fn paths(code: &str) -> impl Iterator<Item = &str> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let path = move |(at, start): (usize, &str)| {
        let rest = &code[at + start.len()..];
        rest.split(|c| !is_path(c)).next().map(|path| path.trim_end_matches(':'))
    };
    code.match_indices("crate::").filter_map(path)
}

fn first(path: &str) -> &str {
    path.split("::").next().unwrap_or_default()
}
