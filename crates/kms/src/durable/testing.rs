//! Places to test in.

use std::env;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A directory closed to others, removed with the first value.
pub(crate) fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().canonicalize().unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    (home, path)
}

/// A file system of its own, of so many KiB.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts it, if this user may.
    pub(crate) fn mount(size_kib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size_kib}k,mode=0700");
        let mount = ["-t", "tmpfs", "-o", &options, "kms-test"];
        let mounted = Command::new("mount").args(mount).arg(dir.path()).output();
        mounted.is_ok_and(|out| out.status.success()).then_some(Self(dir))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    /// Forbids writing.
    pub(crate) fn remount_read_only(&self) {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(self.0.path()).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Says loudly that a test was not made; in CI that is a failure.
pub(crate) fn missing(what: &str) {
    assert!(env::var_os("CI").is_none(), "this test needs {what}");
    eprintln!("SKIPPED: this test needs {what}");
}
