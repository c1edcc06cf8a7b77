//! Power cuts: the file system stops at an instant and forgets all that was not made durable.
//!
//! `FS_IOC_SHUTDOWN` with "no log flush" on a loop-mounted image does what a cut does, in about 25
//! milliseconds; mounting it again replays the journal. Needs root. Only what was read from the
//! worker before the cut counts as acknowledged.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::campaign::Plan;
use crate::campaign::Size;
use crate::campaign::Tally;
use crate::campaign::acknowledged::Acknowledged;
use crate::campaign::check;
use crate::campaign::round::CUTS_PER_HOME;
use crate::campaign::round::cut_short;
use crate::campaign::skipped;
use crate::campaign::worker;
use crate::shell::Outcome;
use crate::shell::which;

/// The file systems that know the ioctl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Ext4,
    Xfs,
}

pub(crate) fn run(kind: FileSystem, plan: Plan) -> Outcome<Option<Tally>> {
    let cuts = if plan.size == Size::Ci { 200 } else { 5_000 };
    let base = tempfile::tempdir().map_err(|error| error.to_string())?;
    let disk = match Disk::new(kind, base.path(), 400) {
        Ok(disk) => disk,
        Err(reason) => {
            return skipped(&format!(
                "power cuts on {kind:?} need root and loop devices: {reason}"
            ));
        }
    };
    let mut tally = Tally::default();
    let mut known = Acknowledged::default();
    let mut home = disk.mounted.join("home");
    for round in plan.from..cuts {
        if round % CUTS_PER_HOME == 0 || round == plan.from {
            _ = std::fs::remove_dir_all(&home);
            home = disk.mounted.join(format!("home-{round}"));
            known = Acknowledged::default();
            worker::init(&home)?;
        }
        let switch = disk.switch()?;
        let (acknowledged, mut losses) =
            cut_short(&home, round, &mut known, |_| switch.cut_power())?;
        disk.mount_again()?;
        losses.extend(check::check(&home, &known)?);
        tally.add(&format!("cut {round}"), acknowledged, losses);
    }
    Ok(Some(tally))
}

/// A file system in a file, mounted on a loop device for as long as this lives.
pub(crate) struct Disk {
    image: PathBuf,
    pub(crate) mounted: PathBuf,
}

/// The process that cuts the power, ready to: what is acknowledged while a process starts would
/// not count.
pub(crate) struct Switch(Child);

impl Disk {
    pub(crate) fn new(kind: FileSystem, base: &Path, mib: u64) -> Outcome<Self> {
        let disk = Self { image: base.join("image"), mounted: base.join("mounted") };
        let file = std::fs::File::create(&disk.image).map_err(|error| error.to_string())?;
        file.set_len(mib << 20).map_err(|error| error.to_string())?;
        std::fs::create_dir(&disk.mounted).map_err(|error| error.to_string())?;
        let make = match kind {
            FileSystem::Ext4 => "mkfs.ext4",
            FileSystem::Xfs => "mkfs.xfs",
        };
        let make = which(make).ok_or_else(|| format!("{make} is missing"))?;
        run_quietly(Command::new(make).arg("-q").arg(&disk.image))?;
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Outcome {
        run_quietly(Command::new("mount").arg("-o").arg("loop").arg(&self.image).arg(&self.mounted))
    }

    /// Readies the switch.
    pub(crate) fn switch(&self) -> Outcome<Switch> {
        let program = which("xfs_io").ok_or("xfs_io is missing")?;
        let mut command = Command::new(program);
        command.arg("-x").arg(&self.mounted).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().map(Switch).map_err(|error| format!("xfs_io does not start: {error}"))
    }

    /// Mounts it again, as after a cut.
    pub(crate) fn mount_again(&self) -> Outcome {
        run_quietly(Command::new("umount").arg(&self.mounted))?;
        self.mount()
    }
}

impl Switch {
    /// Cuts the power: nothing more reaches the image, and the journal is not flushed.
    pub(crate) fn cut_power(mut self) -> Outcome {
        let mut stdin = self.0.stdin.take().ok_or("xfs_io has no input")?;
        stdin.write_all(b"shutdown\nquit\n").map_err(|error| error.to_string())?;
        drop(stdin);
        let answer = self.0.wait_with_output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&answer.stderr);
        if answer.status.success() && said.is_empty() {
            return Ok(());
        }
        Err(format!("the power was not cut: {}", said.trim()))
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
