//! STAND-IN
#![allow(missing_docs, unused_variables, clippy::all)]
use crate::access::*;
use crate::audit::*;
use crate::key::*;
use crate::lifecycle::*;
use crate::time::*;
use kms_formats::private::ParsedPrivateKey;
use kms_secret::SecretBytes;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
pub struct Options { pub home: PathBuf, pub clock: Arc<dyn Clock>, pub audit: AuditLogConfig, pub session: SessionPolicy, pub policies: Vec<KeyLifecyclePolicy>, pub accept_clock: bool }
impl Options { pub fn new(home: impl Into<PathBuf>) -> Self { todo!() } }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mfa { Totp, None }
pub struct Init<'a> { pub admin: PrincipalName, pub passphrase: &'a SecretBytes, pub mfa: Mfa }
pub struct Initialized { pub admin: Principal, pub mfa: Option<Enrolment>, pub audit_key: String }
pub struct Client { pub source_ip: Option<IpAddr>, pub user_agent: String }
pub struct Login<'a> { pub principal: &'a PrincipalName, pub passphrase: &'a SecretBytes, pub mfa_code: Option<&'a str>, pub client: Client }
pub struct Caller;
pub struct NewKey { pub purpose: Purpose, pub algorithm: Option<Algorithm>, pub storage: StorageName, pub policy: Option<PolicyName>, pub activate: bool }
pub const MESSAGE_LIMIT: usize = 16 << 20;
pub struct Signed { pub key_id: KeyId, pub signature: Signature }
#[derive(Debug, thiserror::Error)]
#[error("r")]
pub struct Refused;
#[derive(Debug, thiserror::Error)]
#[error("r")]
pub struct Fault;
#[derive(Debug, thiserror::Error)]
pub enum Error { #[error(transparent)] Refused(Refused), #[error(transparent)] Fault(Fault) }
impl From<AuditFault> for Error { fn from(_: AuditFault) -> Self { todo!() } }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind { Other, Usage, NotFound, Conflict, NotPermitted, Authentication, Unavailable, Integrity, Threshold, Unsafe, Waiting }
impl Error { pub fn code(&self) -> &'static str { todo!() } pub fn kind(&self) -> ErrorKind { todo!() } pub fn advice(&self) -> Vec<String> { todo!() } }
pub struct KeyManager;
pub struct Notice;
impl std::fmt::Display for Notice { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { todo!() } }
#[derive(serde::Serialize)]
pub struct Status;
impl KeyManager {
    pub fn init(options: &Options, init: Init<'_>) -> Result<Initialized, Error> { todo!() }
    pub fn open(options: Options) -> Result<KeyManager, Error> { todo!() }
    pub fn notices(&self) -> Vec<Notice> { todo!() }
    pub fn login(&self, login: Login<'_>) -> Result<Caller, Error> { todo!() }
    pub fn logout(&self, caller: Caller) -> Result<(), Error> { todo!() }
    pub fn close(self) -> Result<(), Error> { todo!() }
    pub fn status(&self) -> Status { todo!() }
    pub fn default_principal(&self) -> Option<PrincipalName> { todo!() }
    pub fn generate_key(&self, caller: &Caller, label: &Label, new: NewKey) -> Result<ManagedKey, Error> { todo!() }
    pub fn import_key(&self, caller: &Caller, label: &Label, new: NewKey, parsed: &ParsedPrivateKey) -> Result<ManagedKey, Error> { todo!() }
    pub fn sign(&self, caller: &Caller, key: &KeyRef, message: &[u8], scheme: Scheme) -> Result<Signed, Error> { todo!() }
    pub fn verify(&self, caller: &Caller, key: &KeyRef, message: &[u8], signature: &[u8], scheme: Scheme) -> Result<bool, Error> { todo!() }
    pub fn get_key(&self, caller: &Caller, key: &KeyRef) -> Result<ManagedKey, Error> { todo!() }
    pub fn list_keys(&self, caller: &Caller) -> Result<Vec<ManagedKey>, Error> { todo!() }
    pub fn export_public_key(&self, caller: &Caller, key: &KeyRef) -> Result<PublicKey, Error> { todo!() }
    pub fn rename_key(&self, caller: &Caller, key: &KeyRef, label: &Label) -> Result<ManagedKey, Error> { todo!() }
    pub fn key_history(&self, caller: &Caller, key: &KeyRef) -> Result<Vec<Move>, Error> { todo!() }
    pub fn rotate_key(&self, caller: &Caller, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> { todo!() }
    pub fn lifecycle<'a>(&'a self, caller: &'a Caller) -> KeyLifecycleManager<'a> { todo!() }
    pub fn access<'a>(&'a self, caller: &'a Caller) -> AccessManager<'a> { todo!() }
    pub fn audit<'a>(&'a self, caller: &'a Caller) -> AuditManager<'a> { todo!() }
}
pub struct KeyLifecycleManager<'a>(&'a ());
macro_rules! moves { ($($n:ident)*) => { impl KeyLifecycleManager<'_> { $(pub fn $n(&self, key: &KeyRef, reason: &Reason) -> Result<ManagedKey, Error> { todo!() })* } } }
moves!(activate_key suspend_key reactivate_key complete_rotation abort_rotation deactivate_key archive_key mark_compromised schedule_destroy cancel_destroy destroy_now);
impl KeyLifecycleManager<'_> {
    pub fn generate_lifecycle_report(&self) -> Result<LifecycleReport, Error> { todo!() }
    pub fn register_policy(&self, policy: KeyLifecyclePolicy) -> Result<(), Error> { todo!() }
    pub fn remove_policy(&self, name: &PolicyName) -> Result<(), Error> { todo!() }
    pub fn policies(&self) -> Result<Vec<KeyLifecyclePolicy>, Error> { todo!() }
    pub fn policy(&self, name: &PolicyName) -> Result<KeyLifecyclePolicy, Error> { todo!() }
}
pub struct AccessManager<'a>(&'a ());
#[derive(serde::Serialize)]
pub struct SessionView { #[serde(skip)] pub tag: SessionTag, pub principal: PrincipalName, pub created_at: Timestamp, pub last_activity: Timestamp, pub source_ip: Option<IpAddr> }
impl AccessManager<'_> {
    pub fn create_principal(&self, new: crate::manager::NewPrincipal, passphrase: &SecretBytes) -> Result<Principal, Error> { todo!() }
    pub fn principals(&self) -> Result<Vec<Principal>, Error> { todo!() }
    pub fn principal(&self, name: &PrincipalName) -> Result<Principal, Error> { todo!() }
    pub fn disable(&self, name: &PrincipalName) -> Result<(), Error> { todo!() }
    pub fn enable(&self, name: &PrincipalName) -> Result<(), Error> { todo!() }
    pub fn remove(&self, name: &PrincipalName) -> Result<(), Error> { todo!() }
    pub fn set_roles(&self, name: &PrincipalName, assignments: Vec<Assignment>) -> Result<(), Error> { todo!() }
    pub fn change_passphrase(&self, name: &PrincipalName, new: &SecretBytes) -> Result<(), Error> { todo!() }
    pub fn roles(&self) -> Result<Vec<Role>, Error> { todo!() }
    pub fn role(&self, name: &RoleName) -> Result<Role, Error> { todo!() }
    pub fn set_role(&self, role: Role) -> Result<(), Error> { todo!() }
    pub fn remove_role(&self, name: &RoleName) -> Result<(), Error> { todo!() }
    pub fn enroll_mfa(&self) -> Result<Enrolment, Error> { todo!() }
    pub fn reset_mfa(&self, name: &PrincipalName) -> Result<(), Error> { todo!() }
    pub fn sessions(&self) -> Result<Vec<SessionView>, Error> { todo!() }
    pub fn end_session(&self, tag: &SessionTag) -> Result<(), Error> { todo!() }
    pub fn check_permission(&self, permission: Permission) -> Result<(), Error> { todo!() }
}
pub struct AuditManager<'a>(&'a ());
impl AuditManager<'_> {
    pub fn get_events(&self, since: Timestamp, event: Option<EventType>) -> Result<Vec<AuditEvent>, Error> { todo!() }
    pub fn get_events_by_key(&self, key: &KeyRef, since: Timestamp) -> Result<Vec<AuditEvent>, Error> { todo!() }
    pub fn verify_integrity(&self) -> Result<Verification, Error> { todo!() }
    pub fn generate_audit_report(&self, since: Timestamp) -> Result<AuditReport, Error> { todo!() }
    pub fn export(&self, format: ExportFormat, writer: &mut dyn std::io::Write) -> Result<u64, Error> { todo!() }
    pub fn head(&self) -> Result<Head, Error> { todo!() }
    pub fn audit_key(&self) -> String { todo!() }
    pub fn checkpoint(&self) -> Result<Head, Error> { todo!() }
}
pub struct NewPrincipal { pub name: PrincipalName, pub kind: PrincipalKind, pub assignments: Vec<Assignment>, pub slot: Option<bool> }
