//! Exit codes: what a script may conclude from how a command ended. All of them stand here.

use kms_api::Kind;

/// How the process ends. The numbers are part of the interface and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// Anything no other number stands for.
    Other,
    /// The command line, an input or the configuration is wrong; nothing was done.
    Usage,
    /// The thing that was named is not there.
    NotFound,
    /// It exists already, or another process holds the home.
    Conflict,
    /// The caller lacks the permission.
    NotPermitted,
    /// Wrong passphrase or unknown principal; MFA missing or wrong.
    Authentication,
    /// Storage, disk, audit log or device does not answer.
    Unavailable,
    /// A signature does not verify, or stored data was altered.
    Integrity,
    /// Threshold not met, operation expired or cancelled.
    Threshold,
    /// Refused for safety: the key's state or purpose forbids it.
    Unsafe,
    /// Waits for an approval.
    Waiting,
    /// The person at the terminal interrupted it.
    Interrupted,
}

impl Exit {
    /// The number the process ends with.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::NotPermitted => 5,
            Self::Authentication => 6,
            Self::Unavailable => 7,
            Self::Integrity => 8,
            Self::Threshold => 9,
            Self::Unsafe => 10,
            Self::Waiting => 11,
            Self::Interrupted => 130,
        }
    }
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Other => Self::Other,
            Kind::Usage => Self::Usage,
            Kind::NotFound => Self::NotFound,
            Kind::Conflict => Self::Conflict,
            Kind::NotPermitted => Self::NotPermitted,
            Kind::Authentication => Self::Authentication,
            Kind::Unavailable => Self::Unavailable,
            Kind::Integrity => Self::Integrity,
            Kind::Threshold => Self::Threshold,
            Kind::Unsafe => Self::Unsafe,
            Kind::Waiting => Self::Waiting,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_numbers_are_the_published_ones() {
        let all = [
            Exit::Ok,
            Exit::Other,
            Exit::Usage,
            Exit::NotFound,
            Exit::Conflict,
            Exit::NotPermitted,
            Exit::Authentication,
            Exit::Unavailable,
            Exit::Integrity,
            Exit::Threshold,
            Exit::Unsafe,
            Exit::Waiting,
            Exit::Interrupted,
        ];
        let numbers: Vec<u8> = all.into_iter().map(Exit::number).collect();
        assert_eq!(numbers, (0..=11).chain([130]).collect::<Vec<u8>>());
    }
}
