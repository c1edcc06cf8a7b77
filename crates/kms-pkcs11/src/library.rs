//! Which file may be loaded as a PKCS#11 library: foreign code that will see the PIN.
//!
//! Only what configuration names, by its whole path, and what nobody can exchange who could not
//! exchange this program as well: a regular file, and every directory above it, that belong to root
//! or to this user and that no one else may write. Looked at with every symbolic link followed, since
//! distributions install libraries behind some.

use std::fs::File;
use std::io::ErrorKind;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use kms::storage::DeviceError;

use crate::error::library_missing;
use crate::error::library_refused;
use crate::profile::PROFILES;

/// The path to load: the configured one with every link followed.
///
/// # Errors
/// When it is relative, is not there, is no library of this machine, or others may write it.
pub(crate) fn check(path: &Path) -> Result<PathBuf, DeviceError> {
    let shown = path.display().to_string();
    if !path.is_absolute() {
        let advice = vec!["write the whole path, from / on".to_owned()];
        return Err(library_refused(&shown, "a library is named by its whole path", advice));
    }
    let real = path.canonicalize().map_err(|error| missing(&shown, &error))?;
    logs_the_pin(&real, &shown)?;
    kept_from_others(&real, &shown)?;
    is_of_this_machine(&real, &shown)?;
    Ok(real)
}

/// Where the libraries of known vendors are on this machine.
pub(crate) fn known_here() -> Vec<(&'static str, &'static str)> {
    let there = |(_, path): &(&str, &str)| Path::new(path).exists();
    let all = PROFILES.iter().flat_map(|p| p.library_paths.iter().map(|path| (p.title, *path)));
    all.filter(there).collect()
}

fn missing(shown: &str, error: &std::io::Error) -> DeviceError {
    let mut advice: Vec<String> = known_here()
        .into_iter()
        .map(|(title, path)| format!("{title} is here: library_path = \"{path}\""))
        .collect();
    match error.kind() {
        ErrorKind::NotFound => {
            advice.push("install the vendor's PKCS#11 library, or mend library_path".to_owned());
            library_missing(shown, "no such file", advice)
        }
        _ => {
            let advice = vec!["let this user read the file and search its directories".to_owned()];
            library_missing(shown, &error.to_string(), advice)
        }
    }
}

/// pkcs11-spy writes every PIN into a log.
fn logs_the_pin(real: &Path, shown: &str) -> Result<(), DeviceError> {
    let name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains("pkcs11-spy") {
        return Ok(());
    }
    let advice = vec!["name the vendor's library itself".to_owned()];
    Err(library_refused(shown, "pkcs11-spy writes PINs into a log in the clear", advice))
}

fn kept_from_others(real: &Path, shown: &str) -> Result<(), DeviceError> {
    let own = rustix::process::geteuid().as_raw();
    for part in real.ancestors() {
        let about = part.metadata().map_err(|error| missing(shown, &error))?;
        let part = part.display();
        if about.uid() != 0 && about.uid() != own {
            let why = format!("{part} belongs to user {}, who could exchange it", about.uid());
            let advice = vec![format!("chown root {part}")];
            return Err(library_refused(shown, &why, advice));
        }
        // Where everybody may make files but remove only their own, what is there stays there.
        let sticky_directory = about.is_dir() && about.mode() & 0o1000 != 0;
        if about.mode() & 0o022 != 0 && !sticky_directory {
            let why = format!("{part} can be written by others (mode {:o})", about.mode() & 0o7777);
            return Err(library_refused(shown, &why, vec![format!("chmod go-w {part}")]));
        }
    }
    Ok(())
}

/// The first bytes of a library that this machine can load: ELF, 64 bits, of this processor.
fn is_of_this_machine(real: &Path, shown: &str) -> Result<(), DeviceError> {
    let refused = |why: &str| library_refused(shown, why, Vec::new());
    let about = real.metadata().map_err(|error| missing(shown, &error))?;
    if !about.is_file() {
        return Err(refused("it is no regular file"));
    }
    let mut head = [0; 20];
    let mut file = File::open(real).map_err(|error| missing(shown, &error))?;
    file.read_exact(&mut head).map_err(|_| refused("it is too short for a library"))?;
    let machine: u8 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    match head {
        [0x7f, b'E', b'L', b'F', 2, 1, ..] if head.get(18) == Some(&machine) => Ok(()),
        [0x7f, b'E', b'L', b'F', ..] => Err(refused("it is a library for another machine")),
        _ => Err(refused("it is no library (no ELF file)")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn elf(dir: &Path, name: &str, machine: u8) -> PathBuf {
        let mut bytes = [0; 64];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        bytes[18] = machine;
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    fn native() -> u8 {
        if cfg!(target_arch = "aarch64") { 183 } else { 62 }
    }

    #[test]
    fn library_that_is_not_there_is_told_in_the_words_of_the_specification() {
        let error = check(Path::new("/nowhere/libpkcs11.so")).unwrap_err();
        let expected = "failed to initialize PKCS#11: library not found: /nowhere/libpkcs11.so: no \
                        such file";
        assert_eq!(error.message, expected);
    }

    #[test]
    fn library_that_others_could_exchange_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = elf(dir.path(), "lib.so", native());
        assert_eq!(check(&path).unwrap(), path.canonicalize().unwrap());
        for mode in [0o666, 0o664, 0o646] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(check(&path).unwrap_err().message.contains("written by others"), "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(check(&path).unwrap_err().message.contains("written by others"), "its directory");
    }

    #[test]
    fn link_to_a_library_that_others_could_exchange_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = elf(dir.path(), "lib.so", native());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let link = dir.path().join("link.so");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(check(&link).unwrap_err().message.contains("written by others"));
    }

    #[test]
    fn what_is_no_library_of_this_machine_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let other = elf(dir.path(), "other.so", 40);
        assert!(check(&other).unwrap_err().message.contains("another machine"));
        let text = dir.path().join("text.so");
        std::fs::write(&text, "#!/bin/sh\nexit 0 # not a library\n").unwrap();
        assert!(check(&text).unwrap_err().message.contains("no ELF file"));
        assert!(check(Path::new("lib.so")).unwrap_err().message.contains("whole path"));
        let spy = elf(dir.path(), "pkcs11-spy.so", native());
        assert!(check(&spy).unwrap_err().message.contains("in the clear"));
    }
}
