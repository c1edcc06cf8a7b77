//! The closed words of a record: what happened, on whose account, and at which point of it.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// Spells one closed list of names three ways: the enum, its names and the way back.
macro_rules! words {
    ($(#[$about:meta])* $name:ident, $unknown:literal { $($(#[$doc:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $word,)+
        }

        impl $name {
            /// Every one, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$word,)+];

            /// The name in the log, in commands and in JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                let found = Self::ALL.iter().copied().find(|word| word.name() == text);
                found.ok_or_else(|| UnknownWord { what: $unknown, text: text.chars().take(40).collect() })
            }
        }
    };
}

/// A text that is none of the names of a closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}")]
pub struct UnknownWord {
    what: &'static str,
    text: String,
}

words! {
    /// What happened.
    EventType, "audit event type" {
        /// A key pair was made.
        KeyCreated = "key_created",
        /// A private key was taken in from outside.
        KeyImported = "key_imported",
        /// A key's description was read.
        KeyRead = "key_read",
        /// A key signed.
        KeySigned = "key_signed",
        /// A signature was checked against a key.
        KeyVerified = "key_verified",
        /// A key got another label.
        KeyRenamed = "key_renamed",
        /// A key became usable.
        KeyActivated = "key_activated",
        /// A key was stopped, reversibly.
        KeySuspended = "key_suspended",
        /// A suspended key was taken into use again.
        KeyReactivated = "key_reactivated",
        /// A key's rotation began: it has a successor.
        KeyRotated = "key_rotated",
        /// A rotation was completed.
        KeyRotationCompleted = "key_rotation_completed",
        /// A rotation was given up.
        KeyRotationAborted = "key_rotation_aborted",
        /// A key stopped signing for good.
        KeyDeactivated = "key_deactivated",
        /// A key was archived.
        KeyArchived = "key_archived",
        /// A key was declared compromised.
        KeyCompromised = "key_compromised",
        /// A key's destruction was ordered.
        KeyDestroyScheduled = "key_destroy_scheduled",
        /// An ordered destruction was called off.
        KeyDestroyCancelled = "key_destroy_cancelled",
        /// A key was destroyed.
        KeyDestroyed = "key_destroyed",
        /// A key reached its end.
        KeyExpired = "key_expired",
        /// A public half was given out as a file.
        KeyExportedPublic = "key_exported_public",
        /// A private key was given out.
        KeyExported = "key_exported",
        /// Keys were written to a backup.
        KeyBackup = "key_backup",
        /// Keys were taken from a backup.
        KeyRestore = "key_restore",
        /// A sign of compromise was seen.
        CompromiseDetected = "compromise_detected",
        /// Something was done to or by an HSM.
        HsmOperation = "hsm_operation",
        /// A step of a multi-signature operation.
        MultisigOperation = "multisig_operation",
        /// What a consensus key signed last was set by a person, or the key was handed over.
        ConsensusState = "consensus_state",
        /// A session began.
        SessionCreated = "session_created",
        /// A session ended.
        SessionEnded = "session_ended",
        /// Credentials were refused.
        LoginFailed = "login_failed",
        /// A second factor was set up.
        MfaEnrolled = "mfa_enrolled",
        /// A second factor was taken away.
        MfaReset = "mfa_reset",
        /// A principal was made.
        PrincipalCreated = "principal_created",
        /// A principal was changed.
        PrincipalChanged = "principal_changed",
        /// A principal was removed.
        PrincipalRemoved = "principal_removed",
        /// A role was made, changed or removed.
        RoleChanged = "role_changed",
        /// A policy was registered or changed.
        PolicyChanged = "policy_changed",
        /// Something was asked for without the right to it.
        AccessDenied = "access_denied",
        /// Principals, roles or sessions were read.
        AccessRead = "access_read",
        /// The audit log was read.
        AuditRead = "audit_read",
        /// The audit log was exported.
        AuditExported = "audit_exported",
        /// A home was made.
        HomeInitialized = "home_initialized",
        /// The clock went backwards, or forwards further than it can have.
        ClockStep = "clock_step",
        /// The keystore was sealed.
        Locked = "locked",
        /// The keystore was opened by a token, without a person.
        Unlocked = "unlocked",
        /// A half-written last line was set aside at the start.
        TornLineSetAside = "torn_line_set_aside",
        /// An intent without an outcome was found at the start.
        OutcomeUnknown = "outcome_unknown",
        /// What a caller of the library records on its own account; `op` names it.
        Custom = "custom",
    }
}

words! {
    /// On whose account something was done.
    Cause, "cause" {
        /// A person or a service, with a session.
        Person = "person",
        /// The product's own timer, under an earlier order or policy.
        Timer = "timer",
        /// The automatic response to a compromise.
        Response = "response",
        /// A validator node's connection.
        Node = "node",
    }
}

words! {
    /// Which point of an operation a record tells of.
    Phase, "phase" {
        /// Before it: what is about to be done and cannot be undone.
        Intent = "intent",
        /// After it: how an announced operation ended.
        Outcome = "outcome",
        /// The only record of it.
        Single = "single",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_snake_case_and_read_back() {
        for &event in EventType::ALL {
            let name = event.name();
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.parse(), Ok(event));
            assert_eq!(serde_json::to_value(event).unwrap(), name);
        }
        let mut names: Vec<_> = EventType::ALL.iter().map(|event| event.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EventType::ALL.len());
    }

    #[test]
    fn a_name_outside_the_list_is_refused() {
        let error = "key_stolen".parse::<EventType>().unwrap_err();
        assert_eq!(error.to_string(), "`key_stolen` is no audit event type");
        assert!(serde_json::from_str::<Cause>("\"ghost\"").is_err());
    }
}
