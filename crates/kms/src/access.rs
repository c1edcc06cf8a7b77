//! The access controller: principals, credentials, sessions, roles and permissions.
//!
//! Decides who calls and what they may do now:
//!
//! ```text
//! Login ─prove─▶ Proven ─create_session─▶ token … token ─validate─▶ Authenticated
//!                                         Authenticated ─authorize─▶ Grant ─require_mfa─▶ Confirmed
//! ```
//!
//! and who may change that ([`Changing`]). It never touches a disk, a clock or a socket, never
//! keeps a secret in the clear, and never grants what no role gives: the default is to deny. A
//! permission is looked up at every call, so what was taken away is gone at the very next one.
//!
//! Whoever can read the keystore's slot can do without this room; roles bind where a daemon holds
//! the keys.

mod base32;
mod hex_array;
mod common_passphrases;
mod permission;
mod role;
mod scope;
mod fault;
mod stretch;
mod passphrase;
mod recovery;
mod totp;
mod principal;
mod session;
mod sessions;
mod lockout;
mod directory;
mod grant;
mod attestation;
mod change;
mod login;
mod controller;

pub use attestation::Attestation;
pub use attestation::InvalidAttestation;
pub use change::Change;
pub use change::ChangePassphraseError;
pub use change::ChangeRefused;
pub use change::Changing;
pub use change::EnrollError;
pub use change::NewPrincipal;
pub use controller::AccessContents;
pub use controller::AccessController;
pub use controller::AccessSettings;
pub use controller::CheckRefused;
pub use controller::MfaMode;
pub use fault::AccessFault;
pub use grant::Authenticated;
pub use grant::Confirmed;
pub use grant::Denied;
pub use grant::Grant;
pub use grant::GrantedTarget;
pub use grant::MfaRequired;
pub use grant::Sensitive;
pub use grant::SensitiveDenied;
pub use grant::Target;
pub(crate) use grant::authorize_node;
pub use lockout::LockedOut;
pub use lockout::Lockout;
pub use lockout::LockoutRecord;
pub use login::AcceptedCode;
pub use login::Login;
pub use login::LoginError;
pub use login::LoginRefused;
pub use login::Proof;
pub use login::Proven;
pub use passphrase::PassphraseCredential;
pub use passphrase::PassphraseError;
pub use passphrase::WeakPassphrase;
pub use passphrase::check_rules;
pub use permission::Permission;
pub use permission::PermissionSet;
pub use permission::UnknownPermission;
pub use principal::Assignment;
pub use principal::Credentials;
pub use principal::InvalidPrincipalId;
pub use principal::InvalidPrincipalName;
pub use principal::Principal;
pub use principal::PrincipalId;
pub use principal::PrincipalKind;
pub use principal::PrincipalName;
pub use recovery::RecoveryCodes;
pub use role::InvalidRole;
pub use role::InvalidRoleName;
pub use role::Role;
pub use role::RoleName;
pub use role::Roles;
pub use scope::Glob;
pub use scope::InvalidGlob;
pub use scope::InvalidSelection;
pub use scope::Scope;
pub use scope::Selection;
pub use session::ANY_AGENT;
pub use session::Client;
pub use session::InvalidSessionPolicy;
pub use session::InvalidSessionTag;
pub use session::Presented;
pub use session::Session;
pub use session::SessionPolicy;
pub use session::SessionRecord;
pub use session::SessionRefused;
pub use session::SessionTag;
pub use sessions::StartedSession;
pub use stretch::Argon2Params;
pub use stretch::InvalidParams;
pub use stretch::MAX_RUNS;
pub use stretch::Stretched;
pub use stretch::Stretcher;
pub use totp::Enrolment;
pub use totp::TotpCredential;

#[cfg(test)]
mod tests;
