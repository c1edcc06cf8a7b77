//! The home as a whole.

use std::collections::BTreeMap;

use kms::access::Permission;
use kms::manager::Status;
use kms::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Desk;
use crate::Failure;
use crate::Method;
use crate::Operation;
use crate::Unnamed;
use crate::schema::Moment;

/// It was done, and there is nothing to show.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Done {}

/// Forgets every secret: keys can be used again once someone with a slot has logged in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lock {}

impl Operation for Lock {
    type On = Unnamed;
    type Answer = Done;
    const NAME: &'static str = "lock";
    const ABOUT: &'static str = "Forget every secret until someone unlocks again";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/lock";
    const NEEDS: Option<Permission> = Some(Permission::KeySuspend);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Done, Failure> {
        desk.kms.lock(desk.caller)?;
        Ok(Done {})
    }
}

/// Shows the state of the home.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowStatus {}

/// The state of a home. No name of a key or a person stands in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Status)]
pub struct StatusView {
    /// The program's version.
    pub version: String,
    /// The home.
    pub home: String,
    /// Made with `--mfa none`.
    pub development: bool,
    /// Whether no private key can be used before someone with a slot logs in.
    pub sealed: bool,
    /// How many keys there are in each state.
    pub keys: BTreeMap<String, u64>,
    /// The number of records in the log.
    pub audit_size: u64,
    /// The root of the tree over them, hex.
    pub audit_root: String,
    /// The log's public key.
    pub audit_key: String,
    /// Whether the log can be written.
    pub audit_writable: bool,
    /// The moment of this.
    #[schema(value_type = Moment)]
    pub now: Timestamp,
    /// Where secrets are held: `secret`, `locked` or `plain` memory.
    pub locked_memory: String,
    /// How much of it is in use, in bytes.
    pub locked_memory_bytes: usize,
    /// What an operator should know.
    pub notices: Vec<String>,
}

impl From<Status> for StatusView {
    fn from(status: Status) -> Self {
        let keys = status.keys.into_iter();
        Self {
            version: status.version.to_owned(),
            home: status.home,
            development: status.development,
            sealed: status.sealed,
            keys: keys.map(|(state, count)| (state.to_owned(), count)).collect(),
            audit_size: status.audit_size,
            audit_root: status.audit_root,
            audit_key: status.audit_key,
            audit_writable: status.audit_writable,
            now: status.now,
            locked_memory: status.locked_memory,
            locked_memory_bytes: status.locked_memory_bytes,
            notices: status.notices,
        }
    }
}

impl Operation for ShowStatus {
    type On = Unnamed;
    type Answer = StatusView;
    const NAME: &'static str = "status";
    const ABOUT: &'static str = "Show the state of the home";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/status";
    const NEEDS: Option<Permission> = None;

    /// A session is enough; without one the local socket tells the same.
    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<StatusView, Failure> {
        desk.kms.check_session(desk.caller)?;
        Ok(desk.kms.status().into())
    }
}
