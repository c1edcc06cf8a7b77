//! Signed statements of how long the log is and what it holds.
//!
//! A checkpoint is a C2SP tlog-checkpoint in a C2SP signed note, so that readers written by others
//! verify it:
//!
//! ```text
//! virtengine-kms/<home id>          origin, also the name of the key
//! 1234                              size, decimal
//! <base64 of the root>              RFC 6962 section 2.1
//!
//! — virtengine-kms/<home id> <base64 of key id and Ed25519 signature>
//! ```
//!
//! The file holds one note after the other, each followed by an empty line.

use std::fmt;
use std::path::Path;

use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kms_secret::SecretBytes;
use signed_note::Note;
use signed_note::Signature;
use signed_note::StandardVerifier;
use signed_note::VerificationError;
use signed_note::Verifier;
use signed_note::Verifiers;

use crate::audit::AuditFault;
use crate::audit::Head;
use crate::audit::line::Hash;
use crate::durable::Disk;

/// Longest note that is read, in bytes, witnesses' cosignatures included.
pub(crate) const NOTE_BYTES: usize = 32 * 1024;
/// Stands after every note in the file of checkpoints.
const BETWEEN: &str = "\n";
/// C2SP signed-note: the signature type Ed25519.
const ED25519: u8 = 1;

/// The key that signs checkpoints and nothing else: Ed25519 (RFC 8032).
pub struct AuditKey {
    name: String,
    id: u32,
    pair: Ed25519KeyPair,
}

impl AuditKey {
    /// Makes the key of the home `home_id` and writes it to `path`: mode 0600, 64 hex digits of
    /// the seed. Durable on return.
    ///
    /// # Errors
    ///
    /// [`AuditFault::File`] if the file is there already or cannot be written, and
    /// [`AuditFault::Randomness`].
    pub fn create(disk: &dyn Disk, path: &Path, home_id: &str) -> Result<Self, AuditFault> {
        let mut drawn = Ok(());
        let seed = SecretBytes::make(32, |bytes| drawn = aws_lc_rs::rand::fill(bytes));
        drawn.map_err(|_| AuditFault::Randomness)?;
        let key = Self::from_seed(&seed, (path, home_id))?;
        disk.create(path, seed.to_hex().expose()).map_err(AuditFault::at(path))?;
        kms_secret::burn_stack();
        Ok(key)
    }

    /// Reads the key of the home `home_id` from `path`.
    ///
    /// # Errors
    ///
    /// [`AuditFault::Key`] if the file is not there, open to others or no seed.
    pub fn load(path: &Path, home_id: &str) -> Result<Self, AuditFault> {
        let fault = |why: String| AuditFault::Key { path: path.to_owned(), why };
        let (text, exposure) =
            kms_secret::read_secret_file(path, 80).map_err(|e| fault(e.to_string()))?;
        if exposure.wide_open {
            return Err(fault("is open to group or others; chmod 600 it".to_owned()));
        }
        let seed = SecretBytes::from_hex(text.expose())
            .filter(|seed| seed.len() == 32)
            .ok_or_else(|| fault("is not 64 hex digits".to_owned()))?;
        let key = Self::from_seed(&seed, (path, home_id));
        kms_secret::burn_stack();
        key
    }

    fn from_seed(seed: &SecretBytes, of: (&Path, &str)) -> Result<Self, AuditFault> {
        let fault = |why: &str| AuditFault::Key { path: of.0.to_owned(), why: why.to_owned() };
        let name = format!("virtengine-kms/{}", of.1);
        if !signed_note::is_key_name_valid(&name) || name.contains(char::is_control) {
            return Err(fault("the home's id has a space, a plus or a control character"));
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose())
            .map_err(|_| fault("is no Ed25519 seed"))?;
        let id = signed_note::key_id(&name, &encoded(&pair));
        Ok(Self { name, id, pair })
    }

    /// The verifier of its notes, as C2SP signed-note writes it: `name+hash+base64`.
    pub fn verifier(&self) -> String {
        let key = BASE64_STANDARD.encode(encoded(&self.pair));
        format!("{}+{:08x}+{key}", self.name, self.id)
    }

    /// Signs `head`; the note as it stands in the file, with the empty line after it.
    pub(crate) fn note(&self, head: &Head) -> Vec<u8> {
        let root = BASE64_STANDARD.encode(head.root);
        let text = format!("{}\n{}\n{root}\n", self.name, head.size);
        let signature = self.pair.sign(text.as_bytes()).as_ref().to_vec();
        let line = Signature::new(self.name.clone(), self.id, signature);
        let line = line.expect("the name was checked when the key was taken up");
        let note = [text.as_bytes(), b"\n", &line.to_bytes(), BETWEEN.as_bytes()];
        note.concat()
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuditKey").field(&self.verifier()).finish()
    }
}

fn encoded(pair: &Ed25519KeyPair) -> Vec<u8> {
    [&[ED25519], pair.public_key().as_ref()].concat()
}

/// What checks checkpoints: the audit key's public half and name.
pub(crate) struct CheckpointVerifier {
    origin: String,
    key: StandardVerifier,
}

impl CheckpointVerifier {
    /// From a verifier string `name+hash+base64`; `None` if it is none.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let key = StandardVerifier::new(text.trim_end()).ok()?;
        let (origin, _) = text.split_once('+')?;
        Some(Self { origin: origin.to_owned(), key })
    }

    /// The head that `note` states (without the empty line after it), if it is well formed, of
    /// this log and signed by this key.
    pub(crate) fn check(&self, note: &[u8]) -> Result<Head, &'static str> {
        let note = Note::from_bytes(note).map_err(|_| "is no signed note")?;
        note.verify(self).map_err(|_| "is not signed by the audit key")?;
        let text = std::str::from_utf8(note.text()).map_err(|_| "is no signed note")?;
        let mut lines = text.lines();
        let (origin, head) = (lines.next(), read_head(lines.next(), lines.next()));
        if origin != Some(&self.origin) {
            return Err("is of another log");
        }
        head.ok_or("states no size and root")
    }
}

impl Verifiers for CheckpointVerifier {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        let known = name == self.key.name() && id == self.key.key_id();
        let unknown = || VerificationError::UnknownKey { name: name.to_owned(), id };
        known.then_some(&self.key as &dyn Verifier).ok_or_else(unknown)
    }
}

fn read_head(size: Option<&str>, root: Option<&str>) -> Option<Head> {
    let digits = size?;
    let size: u64 = digits.parse().ok()?;
    let root = BASE64_STANDARD.decode(root?).ok()?;
    let root = Hash::try_from(root).ok()?;
    (size.to_string() == digits).then_some(Head { size, root })
}

/// One note in the file of checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed<'a> {
    /// The number of its first line in the file, from 1.
    pub(crate) line: u64,
    /// Its bytes, without the empty line after it.
    pub(crate) note: &'a [u8],
}

/// Splits the file of checkpoints into its notes; the second value is how many bytes at the end
/// belong to a note that was not written to its end.
pub(crate) fn split_notes(file: &[u8]) -> (Vec<Placed<'_>>, usize) {
    let (mut notes, mut rest, mut line) = (Vec::new(), file, 1);
    while let Some(len) = note_len(rest) {
        let (note, after) = rest.split_at(len);
        notes.push(Placed { line, note });
        line += note.iter().filter(|&&b| b == b'\n').count() as u64 + 1;
        rest = after.strip_prefix(BETWEEN.as_bytes()).unwrap_or_default();
    }
    (notes, rest.len())
}

/// Length of the note at the front: a text, an empty line, signatures, and an empty line after.
fn note_len(bytes: &[u8]) -> Option<usize> {
    let empty_line = |from: usize| {
        let rest = bytes.get(from..)?;
        rest.windows(2).take(NOTE_BYTES).position(|pair| pair == b"\n\n").map(|at| from + at)
    };
    let text = empty_line(0)?;
    empty_line(text + 2).map(|signatures| signatures + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::OsDisk;

    fn key(dir: &Path) -> AuditKey {
        AuditKey::create(&OsDisk, &dir.join("audit.key"), "h-1").unwrap()
    }

    fn head(size: u64) -> Head {
        Head { size, root: [u8::try_from(size % 251).unwrap(); 32] }
    }

    #[test]
    fn a_checkpoint_is_exactly_a_c2sp_note() {
        let dir = tempfile::tempdir().unwrap();
        let key = key(dir.path());
        let note = String::from_utf8(key.note(&head(9))).unwrap();
        let lines: Vec<&str> = note.split('\n').collect();
        let root = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
        assert_eq!(lines[..4], ["virtengine-kms/h-1", "9", root, ""]);
        assert!(lines[4].starts_with("\u{2014} virtengine-kms/h-1 "));
        assert_eq!(lines[5..], ["", ""]);
        let verifier = CheckpointVerifier::new(&key.verifier()).unwrap();
        assert_eq!(verifier.check(note.strip_suffix('\n').unwrap().as_bytes()), Ok(head(9)));
    }

    #[test]
    fn a_changed_or_foreign_checkpoint_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (key, other) = (key(dir.path()), dir.path().join("other.key"));
        let other = AuditKey::create(&OsDisk, &other, "h-1").unwrap();
        let verifier = CheckpointVerifier::new(&key.verifier()).unwrap();
        let mut note = key.note(&head(9));
        note.pop();
        for at in 0..note.len() {
            let mut bad = note.clone();
            bad[at] ^= 1;
            assert!(verifier.check(&bad).is_err(), "byte {at}");
        }
        let mut foreign = other.note(&head(9));
        foreign.pop();
        assert_eq!(verifier.check(&foreign), Err("is not signed by the audit key"));
    }

    #[test]
    fn the_key_is_read_back_and_others_see_nothing_of_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        let made = key(dir.path());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(AuditKey::load(&path, "h-1").unwrap().verifier(), made.verifier());
        let seed = std::fs::read_to_string(&path).unwrap();
        assert!(!format!("{made:?}").contains(seed.trim()));
        std::fs::write(&path, "00").unwrap();
        let why = AuditKey::load(&path, "h-1").unwrap_err().to_string();
        assert!(why.ends_with("is not 64 hex digits"), "{why}");
        assert!(AuditKey::load(&path, "with space").is_err());
    }

    #[test]
    fn a_half_written_note_is_told_from_whole_ones() {
        let dir = tempfile::tempdir().unwrap();
        let key = key(dir.path());
        let (first, second) = (key.note(&head(1)), key.note(&head(2)));
        let file = [first.clone(), second.clone()].concat();
        for cut in 0..=second.len() {
            let (notes, torn) = split_notes(&file[..first.len() + cut]);
            let whole = if cut == second.len() { 2 } else { 1 };
            assert_eq!((notes.len(), torn), (whole, cut % second.len()), "cut at {cut}");
            assert_eq!(notes[0], Placed { line: 1, note: &first[..first.len() - 1] });
        }
        let (notes, _) = split_notes(&file);
        assert_eq!(notes[1], Placed { line: 7, note: &second[..second.len() - 1] });
    }
}
