//! Where secrets come from: a descriptor, a file, the terminal, or one line of stdin. Never an
//! argument, never the value of a variable.
//!
//! Read straight into locked memory. A passphrase is one line, without its line break.

use std::fs::File;
use std::io::IsTerminal;
use std::io::stdin;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use kms_secret::ReadSecretError;
use kms_secret::SecretBytes;

use crate::cli::global::Global;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::problem::warn;

/// A passphrase has at most so many bytes.
const PASSPHRASE_LIMIT: usize = 1024;

/// Names the file with the passphrase where no flag does.
const FILE_VARIABLE: &str = "VIRTENGINE_PASSPHRASE_FILE";

/// Who else reads stdin in this command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// Nobody: a passphrase may be a line of it.
    Free,
    /// The command reads its input there, to the end.
    Taken,
}

/// The passphrase of the caller.
///
/// # Errors
/// When its source cannot be read, or it is empty or longer than 1024 bytes.
pub(crate) fn passphrase(
    global: &Global,
    question: &str,
    stdin: Stdin,
) -> Result<SecretBytes, Problem> {
    read(&Source::of_caller(global, stdin)?, question)
}

/// Whether the command says where the passphrase is: by a flag or the variable.
pub(crate) fn is_given(global: &Global) -> bool {
    global.passphrase_file.is_some()
        || global.passphrase_fd.is_some()
        || std::env::var_os(FILE_VARIABLE).is_some_and(|file| !file.is_empty())
}

/// A passphrase that is the first line of a file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn line_of(file: &Path) -> Result<SecretBytes, Problem> {
    read(&Source::File(file.to_owned()), "Passphrase")
}

/// The caller's passphrase where it is chosen here: asked for twice on a terminal.
///
/// # Errors
/// As [`passphrase`]; and when the two differ.
pub(crate) fn chosen_passphrase(global: &Global, question: &str) -> Result<SecretBytes, Problem> {
    read_chosen(&Source::of_caller(global, Stdin::Free)?, question)
}

/// A new passphrase beside the caller's own: from `file`, the terminal, or the next line of stdin.
///
/// # Errors
/// As [`chosen_passphrase`].
pub(crate) fn new_passphrase(file: Option<&Path>, question: &str) -> Result<SecretBytes, Problem> {
    let source = file.map_or_else(Source::of_terminal, Source::of_file);
    read_chosen(&source, question)
}

/// The current code of the caller's authenticator, asked for on the terminal.
///
/// # Errors
/// When the terminal cannot be read.
pub(crate) fn mfa_code() -> Result<SecretBytes, Problem> {
    kms_secret::prompt_secret("Code of your authenticator: ", 64)
        .map_err(|e| unreadable("the terminal", &e))
}

/// A private key as one line: asked for on a terminal, else the next line of stdin.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn key_line(limit: usize) -> Result<SecretBytes, Problem> {
    if stdin().is_terminal() {
        let asked = kms_secret::prompt_secret("Private key as hex: ", limit);
        return asked.map_err(|e| unreadable("the terminal", &e));
    }
    kms_secret::read_secret_line(stdin(), limit).map_err(|e| unreadable("stdin", &e))
}

/// A secret of at most `limit` bytes in a file, or in stdin to its end where `path` is `-`.
///
/// # Errors
/// When it cannot be read or is longer.
pub(crate) fn file(path: &Path, limit: usize) -> Result<SecretBytes, Problem> {
    if path == Path::new("-") {
        return kms_secret::read_secret(stdin(), limit).map_err(|e| unreadable("stdin", &e));
    }
    let place = path.display().to_string();
    kms_secret::read_secret(open(path)?, limit).map_err(|e| unreadable(&place, &e))
}

/// A place to read a passphrase from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Descriptor(u32),
    File(PathBuf),
    Line,
    Terminal,
}

impl Source {
    fn of_caller(global: &Global, stdin: Stdin) -> Result<Self, Problem> {
        let variable = || std::env::var_os(FILE_VARIABLE).filter(|v| !v.is_empty());
        let file = global.passphrase_file.clone();
        let source = match (global.passphrase_fd, file.or_else(|| variable().map(PathBuf::from))) {
            (Some(0), _) => Self::Line,
            (Some(fd), _) => Self::Descriptor(fd),
            (None, Some(path)) => Self::of_file(&path),
            (None, None) if stdin == Stdin::Taken => Self::Terminal,
            (None, None) => Self::of_terminal(),
        };
        if source == Self::Line && stdin == Stdin::Taken {
            return Err(Problem::usage("passphrase and input cannot both come from stdin")
                .fix("add --in FILE, or --passphrase-file FILE"));
        }
        Ok(source)
    }

    fn of_file(path: &Path) -> Self {
        if path == Path::new("-") { Self::Line } else { Self::File(path.to_owned()) }
    }

    fn of_terminal() -> Self {
        if stdin().is_terminal() { Self::Terminal } else { Self::Line }
    }
}

fn read_chosen(source: &Source, question: &str) -> Result<SecretBytes, Problem> {
    let first = read(source, question)?;
    if *source == Source::Terminal && read(source, "Once more")? != first {
        return Err(Problem::usage("the two passphrases differ"));
    }
    Ok(first)
}

fn read(source: &Source, question: &str) -> Result<SecretBytes, Problem> {
    let secret = match source {
        Source::Descriptor(fd) => {
            let place = format!("descriptor {fd}");
            let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
            let file =
                File::open(path).map_err(|e| Problem::io(format!("cannot read {place}"), &e));
            kms_secret::read_secret_line(file?, PASSPHRASE_LIMIT)
                .map_err(|e| unreadable(&place, &e))
        }
        Source::File(path) => {
            let place = path.display().to_string();
            kms_secret::read_secret_line(open(path)?, PASSPHRASE_LIMIT)
                .map_err(|e| unreadable(&place, &e))
        }
        Source::Line => kms_secret::read_secret_line(stdin(), PASSPHRASE_LIMIT)
            .map_err(|e| unreadable("stdin", &e)),
        Source::Terminal => kms_secret::prompt_secret(&format!("{question}: "), PASSPHRASE_LIMIT)
            .map_err(|e| unreadable("the terminal", &e)),
    }?;
    if secret.is_empty() {
        return Err(Problem::usage("the passphrase is empty").fix("add --passphrase-file FILE"));
    }
    Ok(secret)
}

/// Opens a file with a secret; warns where others can read it too.
fn open(path: &Path) -> Result<File, Problem> {
    let refuse = |e| Problem::io(format!("cannot read {}", path.display()), &e);
    let file = File::open(path).map_err(refuse)?;
    let about = file.metadata().map_err(refuse)?;
    if about.is_dir() {
        return Err(Problem::usage(format!("{} is a directory", path.display())));
    }
    if about.is_file() && about.mode() & 0o077 != 0 {
        let mode = about.mode() & 0o777;
        warn(&format!("others can read {} (mode {mode:o}); chmod 600 it", path.display()));
    }
    Ok(file)
}

fn unreadable(place: &str, error: &ReadSecretError) -> Problem {
    if matches!(error, ReadSecretError::Interrupted) {
        return Problem::new(Exit::Interrupted, "interrupted", "interrupted at the terminal");
    }
    let problem = Problem::usage(format!("no secret could be read from {place}"));
    let problem = problem.because(error.to_string());
    match error {
        ReadSecretError::NoTerminal { .. } => problem.fix("add --passphrase-file FILE"),
        _ => problem,
    }
}
