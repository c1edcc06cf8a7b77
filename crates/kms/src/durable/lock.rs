//! One process on a home.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::fs::FlockOperation;
use rustix::fs::OFlags;
use rustix::fs::flock;
use rustix::fs::fstat;
use rustix::fs::ftruncate;
use rustix::fs::statat;
use rustix::io::Errno;
use rustix::io::retry_on_intr;
use rustix::process::getpid;

use crate::durable::Disk;
use crate::durable::DiskError;
use crate::durable::OsDisk;
use crate::durable::effects::write_all;
use crate::durable::open::Place;
use crate::durable::open::check_private;

/// The home is this process's for as long as this value lives, and free again when it or the
/// process is gone, however it went: the kernel holds the lock, not the file.
#[derive(Debug)]
pub struct HomeLock {
    file: OwnedFd,
}

impl Drop for HomeLock {
    /// Releases the lock in so many words: closing alone does not while a child that this process
    /// is just starting has the descriptor still.
    fn drop(&mut self) {
        _ = retry_on_intr(|| flock(&self.file, FlockOperation::Unlock));
    }
}

/// Why the home was not locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process uses the home.
    #[error("the home is in use by {}", holder(*pid))]
    Held {
        /// Its process id, unless it has not written it yet.
        pid: Option<u32>,
    },
    /// The lock file could not be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Takes the home at `home` for this process, without waiting, and writes the process id into
/// `<home>/lock`. What the file said before means nothing: only the kernel's lock counts.
///
/// `openat(lock)` (made empty first, as [`Disk::create`] does, if there is none), `fstat`, `flock(LOCK_EX|LOCK_NB)`, `fstatat`, `ftruncate`, `pwrite`. A crash
/// releases the lock and leaves the file.
///
/// # Errors
/// [`LockError::Held`] if another process has it; [`LockError::Disk`] if the home is not a
/// directory of this user closed to everyone else.
pub fn lock_home(home: &Path) -> Result<HomeLock, LockError> {
    let path = home.join("lock");
    let place = Place::of(&path)?;
    check_private(&place.directory, home)?;
    let file = open_or_create(&place)?;
    match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(LockError::Held { pid: read_pid(&path) }),
        Err(e) => return Err(place.at(e).into()),
    }
    take(&place, &file)?;
    Ok(HomeLock { file })
}

fn open_or_create(place: &Place) -> Result<OwnedFd, DiskError> {
    match place.open(OFlags::RDWR) {
        Err(DiskError::NotFound) => match OsDisk.create(&place.path, b"") {
            Ok(()) | Err(DiskError::Exists) => Ok(place.open(OFlags::RDWR)?.0),
            Err(e) => Err(e),
        },
        opened => Ok(opened?.0),
    }
}

fn take(place: &Place, file: &OwnedFd) -> Result<(), LockError> {
    let at = |e| LockError::Disk(place.at(e));
    let ours = fstat(file).map_err(at)?;
    let named = statat(&place.directory, &place.name, AtFlags::SYMLINK_NOFOLLOW).map_err(at)?;
    if (ours.st_dev, ours.st_ino) != (named.st_dev, named.st_ino) {
        // The file was exchanged under us: whoever holds the one now named `lock` has the home.
        return Err(LockError::Held { pid: read_pid(&place.path) });
    }
    ftruncate(file, 0).map_err(at)?;
    let pid = format!("{}\n", getpid().as_raw_nonzero());
    write_all(file.as_fd(), pid.as_bytes(), 0).map_err(at)
}

fn read_pid(path: &Path) -> Option<u32> {
    let text = String::from_utf8(OsDisk.read(path, 32).ok()?).ok()?;
    text.trim().parse().ok()
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::durable::Danger;
    use crate::durable::testing::home;

    #[test]
    fn dropped_lock_is_free_though_a_child_has_the_descriptor_still() {
        let (_guard, home) = crate::durable::testing::home();
        let lock = lock_home(&home).unwrap();
        let _in_the_child = lock.file.try_clone().unwrap();
        assert!(matches!(lock_home(&home), Err(LockError::Held { .. })));
        drop(lock);
        lock_home(&home).unwrap();
    }

    #[test]
    fn second_lock_on_a_home_is_refused_and_names_the_holder() {
        let (_home, home) = home();
        let held = lock_home(&home).unwrap();
        let refused = lock_home(&home).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(refused, LockError::Held { pid: Some(p) } if p == pid), "{refused:?}");
        assert_eq!(refused.to_string(), format!("the home is in use by process {pid}"));
        drop(held);
        lock_home(&home).unwrap();
    }

    #[test]
    fn stale_pid_text_holds_nothing() {
        let (_home, home) = home();
        OsDisk
            .create(
                &home.join("lock"),
                b"1
and more than a pid",
            )
            .unwrap();
        let _held = lock_home(&home).unwrap();
        let expected = format!("{}\n", std::process::id());
        assert_eq!(fs::read_to_string(home.join("lock")).unwrap(), expected);
    }

    #[test]
    fn holder_without_a_pid_is_still_a_holder() {
        let (_home, home) = home();
        let _held = lock_home(&home).unwrap();
        fs::write(home.join("lock"), b"").unwrap();
        assert!(matches!(lock_home(&home), Err(LockError::Held { pid: None })));
    }

    #[test]
    fn open_home_is_not_locked() {
        let (_home, home) = home();
        fs::set_permissions(&home, Permissions::from_mode(0o755)).unwrap();
        let refused = lock_home(&home).unwrap_err();
        let expected = Danger::Mode(0o755);
        assert!(
            matches!(refused, LockError::Disk(DiskError::Unsafe { why, .. }) if why == expected)
        );
        assert!(!home.join("lock").exists());
    }

    #[test]
    fn lock_that_is_a_symbolic_link_is_refused() {
        let (_home, home) = home();
        let elsewhere = home.join("elsewhere");
        fs::write(&elsewhere, b"precious").unwrap();
        symlink(&elsewhere, home.join("lock")).unwrap();
        assert!(matches!(
            lock_home(&home),
            Err(LockError::Disk(DiskError::Unsafe { why: Danger::SymbolicLink, .. }))
        ));
        assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
    }
}
