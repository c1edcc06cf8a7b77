//! What the daemon gives up before it opens the home: files that are none of its own (Landlock), and
//! system calls that it never makes (seccomp).
//!
//! Both bind the calling thread and every thread it starts later, so this comes before any other thread.
//! A kernel that has neither is told of, and the daemon runs on: the unit file closes the same doors.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use landlock::ABI;
use landlock::Access;
use landlock::AccessFs;
use landlock::PathBeneath;
use landlock::PathFd;
use landlock::Ruleset;
use landlock::RulesetAttr;
use landlock::RulesetCreatedAttr;
use landlock::RulesetStatus;
use seccompiler::BpfProgram;
use seccompiler::SeccompAction;
use seccompiler::SeccompFilter;

/// What the daemon keeps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sandbox {
    /// Directories it reads and writes.
    pub(crate) writes: Vec<PathBuf>,
    /// Files and directories it reads.
    pub(crate) reads: Vec<PathBuf>,
    /// Whether it starts other programs: workers for HSMs. Their libraries open files and devices that
    /// only their vendors know, so files are not closed off then.
    pub(crate) starts_programs: bool,
}

/// The newest version of Landlock whose rights are handled.
const LANDLOCK: ABI = ABI::V5;

impl Sandbox {
    /// Gives up everything else; returns what the kernel did not grant.
    pub(crate) fn enter(&self) -> Vec<String> {
        let files = match self.starts_programs {
            true => Err("libraries of HSMs open files of their own".to_owned()),
            false => self.close_files().map_err(|error| error.to_string()),
        };
        let files = match files {
            Ok(RulesetStatus::FullyEnforced) => None,
            Ok(status) => Some(format!("files are not closed off (Landlock): {status:?}")),
            Err(error) => Some(format!("files are not closed off (Landlock): {error}")),
        };
        let calls = self.close_calls().err();
        let calls = calls.map(|error| format!("system calls are not closed off: {error}"));
        files.into_iter().chain(calls).collect()
    }

    fn close_files(&self) -> Result<RulesetStatus, landlock::RulesetError> {
        let rules = |paths: &[PathBuf], access| {
            let beneath = move |path: &PathBuf| {
                // What is not there cannot be read later either.
                Some(Ok::<_, landlock::RulesetError>(PathBeneath::new(
                    PathFd::new(path).ok()?,
                    rights(path, access),
                )))
            };
            paths.iter().filter_map(beneath).collect::<Vec<_>>()
        };
        let mut ruleset =
            Ruleset::default().handle_access(AccessFs::from_all(LANDLOCK))?.create()?;
        ruleset = ruleset.add_rules(rules(&self.writes, AccessFs::from_all(LANDLOCK)))?;
        ruleset = ruleset.add_rules(rules(&self.reads, AccessFs::from_read(LANDLOCK)))?;
        Ok(ruleset.restrict_self()?.ruleset)
    }

    fn close_calls(&self) -> Result<(), String> {
        let programs: &[i64] =
            if self.starts_programs { &[] } else { &[libc::SYS_execve, libc::SYS_execveat] };
        let refused = NEVER.iter().chain(programs).map(|call| (*call, Vec::new()));
        let architecture = std::env::consts::ARCH.try_into().map_err(|_| "unknown processor")?;
        let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        let filter = SeccompFilter::new(
            refused.collect::<BTreeMap<_, _>>(),
            SeccompAction::Allow,
            refuse,
            architecture,
        );
        let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(|e| format!("{e}"))?;
        seccompiler::apply_filter(&program).map_err(|e| e.to_string())
    }
}

/// Rights on a file are those that files have.
fn rights(path: &Path, access: landlock::BitFlags<AccessFs>) -> landlock::BitFlags<AccessFs> {
    if path.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) }
}

/// What the daemon never does: look into other processes, load code into the kernel, change mounts,
/// names or the clock.
const NEVER: [i64; 34] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_syslog,
    libc::SYS_personality,
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_none_of_its_own_is_out_of_reach() {
        let home = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("read"), "read").unwrap();
        fs::write(other.path().join("closed"), "closed").unwrap();
        let sandbox = Sandbox {
            writes: vec![home.path().to_owned()],
            reads: vec![other.path().join("read"), other.path().join("not there")],
            starts_programs: false,
        };
        // It binds the thread for ever, so the thread is one of its own.
        let tried = std::thread::spawn(move || {
            let shortfalls = sandbox.enter();
            let write = fs::write(home.path().join("new"), "new").map_err(|e| e.kind());
            let read = fs::read(other.path().join("read")).map_err(|e| e.kind());
            let closed = fs::read(other.path().join("closed")).map_err(|e| e.kind());
            let beside = fs::write(other.path().join("new"), "new").map_err(|e| e.kind());
            let started = Command::new("/bin/true").status().map_err(|e| e.kind());
            (shortfalls, write, read, closed, beside, started)
        });
        let (shortfalls, write, read, closed, beside, started) = tried.join().unwrap();
        assert_eq!(shortfalls, [""; 0]);
        assert_eq!(write, Ok(()));
        assert_eq!(read, Ok(b"read".to_vec()));
        assert_eq!(closed, Err(ErrorKind::PermissionDenied));
        assert_eq!(beside, Err(ErrorKind::PermissionDenied));
        assert_eq!(started.err(), Some(ErrorKind::PermissionDenied));
    }
}
