//! The script, and the counting of calls.

use std::fs::OpenOptions;
use std::io::Seek;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// What is done to a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// It is not made, and this is returned.
    Error(u64),
    /// It is made, and this is returned all the same.
    After(u64),
    /// It is made later.
    Delay(Duration),
    /// It never returns.
    Hang,
    /// The process ends.
    Crash,
    /// The signature is altered.
    Corrupt,
    /// Another key is used.
    OtherKey,
}

/// Counts a call of `function`, and says what the script wants done to it.
pub(crate) fn fault_at(function: &str) -> Option<Action> {
    let path = std::env::var_os("PKCS11_FAULT_SCRIPT")?;
    let path = Path::new(&path);
    let of_all = count(path, "all");
    let of_function = count(path, function);
    let script = std::fs::read_to_string(path).ok()?;
    script.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let number = match words.next()? {
            "*" => of_all,
            name if name == function => of_function,
            _ => return None,
        };
        let which = words.next()?;
        covers(which, number).then(|| action(words.next()?, words.next())).flatten()
    })
}

/// One more call; how many that makes. A byte is appended for each, which no two processes do at
/// once in the same place.
fn count(script: &Path, name: &str) -> u64 {
    let path = script.with_extension(name);
    let appended = OpenOptions::new().append(true).create(true).open(path).and_then(|mut file| {
        file.write_all(b".")?;
        file.stream_position()
    });
    appended.unwrap_or(0)
}

fn covers(which: &str, number: u64) -> bool {
    match which.split_once('-') {
        _ if which == "*" => true,
        Some((first, last)) => {
            let bound = |text: &str| text.parse::<u64>().ok();
            bound(first).is_some_and(|first| first <= number)
                && bound(last).is_some_and(|last| number <= last)
        }
        None => which.parse() == Ok(number),
    }
}

fn action(name: &str, argument: Option<&str>) -> Option<Action> {
    let code = || u64::from_str_radix(argument?.trim_start_matches("0x"), 16).ok();
    match name {
        "error" => code().map(Action::Error),
        "after" => code().map(Action::After),
        "delay" => Some(Action::Delay(Duration::from_millis(argument?.parse().ok()?))),
        "hang" => Some(Action::Hang),
        "crash" => Some(Action::Crash),
        "corrupt" => Some(Action::Corrupt),
        "other-key" => Some(Action::OtherKey),
        _ => None,
    }
}
