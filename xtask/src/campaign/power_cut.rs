//! Power cuts: the file system stops at an instant and forgets all that was not made durable.
//!
//! `FS_IOC_SHUTDOWN` with "no log flush" on a loop-mounted image does what a cut does, in about 25
//! milliseconds; mounting it again replays the journal. Needs root. Only what was read from the
//! worker before the cut counts as acknowledged.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::Size;
use super::Tally;
use super::acknowledged::Acknowledged;
use super::check;
use super::kill::cut_short;
use super::worker;
use crate::shell::Outcome;
use crate::shell::which;

/// The file systems that know the ioctl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Ext4,
    Xfs,
}

/// A home is used for so many cuts before a fresh one, so that checking stays quick.
const CUTS_PER_HOME: usize = 25;

pub(crate) fn run(kind: FileSystem, size: Size) -> Outcome<Option<Tally>> {
    let cuts = if size == Size::Ci { 200 } else { 5_000 };
    let base = tempfile::tempdir().map_err(|error| error.to_string())?;
    let disk = match Disk::new(kind, base.path()) {
        Ok(disk) => disk,
        Err(reason) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: power cuts on {kind:?} need root and loop devices: {reason}");
            return Ok(None);
        }
        Err(reason) => return Err(format!("power cuts on {kind:?}: {reason}")),
    };
    let mut tally = Tally::default();
    let mut known = Acknowledged::default();
    let mut home = PathBuf::new();
    for round in 0..cuts {
        if round % CUTS_PER_HOME == 0 {
            _ = std::fs::remove_dir_all(&home);
            home = disk.mounted.join(format!("home-{round}"));
            known = Acknowledged::default();
            worker::init(&home)?;
            run_quietly(Command::new("sync").arg("-f").arg(&disk.mounted))?;
        }
        tally.acknowledged += cut_short(&home, round, &mut known, |_| disk.cut())?;
        disk.mount_again()?;
        tally.points += 1;
        let losses = check::check(&home, &known)?;
        tally.losses.extend(losses.into_iter().map(|loss| format!("cut {round}: {loss}")));
    }
    Ok(Some(tally))
}

/// A file system in a file, mounted on a loop device for as long as this lives.
struct Disk {
    image: PathBuf,
    mounted: PathBuf,
}

impl Disk {
    fn new(kind: FileSystem, base: &Path) -> Outcome<Self> {
        let disk = Self { image: base.join("image"), mounted: base.join("mounted") };
        let file = std::fs::File::create(&disk.image).map_err(|error| error.to_string())?;
        file.set_len(400 << 20).map_err(|error| error.to_string())?;
        std::fs::create_dir(&disk.mounted).map_err(|error| error.to_string())?;
        let (make, quiet) = match kind {
            FileSystem::Ext4 => ("mkfs.ext4", "-q"),
            FileSystem::Xfs => ("mkfs.xfs", "-q"),
        };
        let make = which(make).ok_or_else(|| format!("{make} is missing"))?;
        run_quietly(Command::new(make).arg(quiet).arg(&disk.image))?;
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Outcome {
        run_quietly(Command::new("mount").arg("-o").arg("loop").arg(&self.image).arg(&self.mounted))
    }

    /// Cuts the power: nothing more reaches the image, and the journal is not flushed.
    fn cut(&self) -> Outcome {
        let program = which("xfs_io").ok_or("xfs_io is missing")?;
        run_quietly(Command::new(program).args(["-x", "-c", "shutdown"]).arg(&self.mounted))
    }

    fn mount_again(&self) -> Outcome {
        run_quietly(Command::new("umount").arg(&self.mounted))?;
        self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        _ = run_quietly(Command::new("umount").arg("-l").arg(&self.mounted));
    }
}

fn run_quietly(command: &mut Command) -> Outcome {
    let answer = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if answer.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&answer.stderr).trim()))
}
