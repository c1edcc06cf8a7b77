//! The audit log: reading, counting, verifying, signing its head.

use std::collections::BTreeMap;

use kms::access::Permission;
use kms::audit::AuditEvent;
use kms::audit::EventType;
use kms::audit::Head;
use kms::audit::Query;
use kms::audit::Verification;
use kms::key::KeyRef;
use kms::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Desk;
use crate::Effect;
use crate::Failure;
use crate::Method;
use crate::Operation;
use crate::PAGE_LIMIT;
use crate::Unnamed;
use crate::keys::page;
use crate::schema::EventName;
use crate::schema::KeyIdText;
use crate::schema::KeyRefText;
use crate::schema::Moment;

/// One record, as it stands in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(as = AuditEvent, value_type = EventShape)]
pub struct Event(pub AuditEvent);

/// A page of records, oldest first.
pub type AuditPage = Vec<Event>;

/// How a record looks in JSON; what it does not have does not appear.
#[derive(Serialize, ToSchema)]
struct EventShape {
    /// The version of the format.
    v: u8,
    /// Its number over the life of the log, from 1.
    seq: u64,
    /// The SHA-256 of the line before, hex.
    prev: String,
    /// The random name of the record.
    rid: String,
    /// When.
    #[schema(value_type = Moment)]
    time: Timestamp,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(value_type = EventName)]
    event: String,
    /// The request it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    /// On whose account: person, timer, response or node.
    cause: String,
    /// The session's tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// The principal's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    /// With which program.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// The key it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<KeyIdText>)]
    key: Option<String>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<String>,
    /// Which point of the operation: intent, outcome or single.
    phase: String,
}

/// Lists records, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListEvents {
    /// From this moment on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Moment>)]
    pub since: Option<Timestamp>,
    /// Only of this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EventName>)]
    pub event: Option<EventType>,
    /// Only about this key: label or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<KeyRefText>)]
    pub key: Option<KeyRef>,
    /// Only with a larger number: where the last page ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many; 1000 if absent, and at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only the latest so many, instead of a page; 1000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub latest: Option<u32>,
}

impl Operation for ListEvents {
    type On = Unnamed;
    type Answer = Vec<Event>;
    const NAME: &'static str = "audit.events";
    const ABOUT: &'static str = "Show records";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/audit/events";
    const NEEDS: Option<Permission> = Some(Permission::AuditRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Vec<Event>, Failure> {
        let limit = page(self.limit)?;
        let key = match &self.key {
            None => None,
            Some(KeyRef::Id(id)) => Some(*id),
            Some(label) => Some(desk.kms.get_key(desk.caller, label)?.id),
        };
        let query = Query {
            since: self.since,
            event: self.event,
            key,
            after: self.after.unwrap_or(0),
            limit: self.latest.is_none().then_some(limit),
            ..Query::default()
        };
        let audit = desk.kms.audit(desk.caller);
        let events = match self.latest {
            Some(latest) => audit.find_latest(&query, page(Some(latest))?)?,
            None => audit.find(&query)?,
        };
        Ok(events.into_iter().map(Event).collect())
    }

    /// A full page may be the last one; the page after it is empty then.
    fn next(answer: &Vec<Event>) -> Option<String> {
        (answer.len() >= PAGE_LIMIT).then(|| answer.last().map(|event| event.0.seq.to_string()))?
    }
}

/// Tells the names of the principals that records name by id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NamePrincipals {}

impl Operation for NamePrincipals {
    type On = Unnamed;
    type Answer = BTreeMap<String, String>;
    const NAME: &'static str = "audit.principals";
    const ABOUT: &'static str = "Tell the names of the principals that records name by id";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/audit/principals";
    const NEEDS: Option<Permission> = Some(Permission::AuditRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let names = desk.kms.audit(desk.caller).principal_names()?.into_iter();
        Ok(names.map(|(id, name)| (id.to_string(), name.to_string())).collect())
    }
}

/// Size and root of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// The number of records.
    pub size: u64,
    /// The root of the tree over them, hex.
    pub root: String,
    /// The key that signs checkpoints.
    pub audit_key: String,
}

/// Shows size and root of the log, to be kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadHead {}

impl Operation for ReadHead {
    type On = Unnamed;
    type Answer = AuditHead;
    const NAME: &'static str = "audit.head";
    const ABOUT: &'static str = "Show size and root of the log, to be kept elsewhere";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/audit/head";
    const NEEDS: Option<Permission> = Some(Permission::AuditRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<AuditHead, Failure> {
        desk.kms.access(desk.caller).check_permission(Permission::AuditRead)?;
        let status = desk.kms.status();
        let (size, root) = (status.audit_size, status.audit_root);
        Ok(AuditHead { size, root, audit_key: status.audit_key })
    }
}

/// Signs the present size and root.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointAudit {}

impl Operation for CheckpointAudit {
    type On = Unnamed;
    type Answer = AuditHead;
    const NAME: &'static str = "audit.checkpoint";
    const ABOUT: &'static str = "Sign the present size and root";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/audit/checkpoint";
    const NEEDS: Option<Permission> = Some(Permission::AuditRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<AuditHead, Failure> {
        let audit = desk.kms.audit(desk.caller);
        let Head { size, root } = audit.checkpoint()?;
        Ok(AuditHead { size, root: hex::encode(root), audit_key: audit.audit_key().to_owned() })
    }
}

/// Counts what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportAudit {
    /// From this moment on.
    #[schema(value_type = Moment)]
    pub since: Timestamp,
}

/// The counts of a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditReport)]
pub struct AuditReported {
    /// The beginning of the period, inclusive.
    #[schema(value_type = Moment)]
    pub start_time: Timestamp,
    /// Its end, exclusive.
    #[schema(value_type = Moment)]
    pub end_time: Timestamp,
    /// Number of events.
    pub total_events: u64,
    /// Those that succeeded.
    pub success_count: u64,
    /// Those that did not.
    pub failure_count: u64,
    /// 0 to 1; absent where nothing happened.
    pub success_rate: Option<f64>,
    /// Events of each type.
    pub by_type: BTreeMap<String, u64>,
    /// Events of each principal.
    pub by_principal: BTreeMap<String, u64>,
    /// Events about each key.
    pub by_key: BTreeMap<String, u64>,
}

impl Operation for ReportAudit {
    type On = Unnamed;
    type Answer = AuditReported;
    const NAME: &'static str = "audit.report";
    const ABOUT: &'static str = "Count events and failures since a moment";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/audit/report";
    const NEEDS: Option<Permission> = Some(Permission::AuditRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<AuditReported, Failure> {
        let report = desk.kms.audit(desk.caller).generate_audit_report(self.since)?;
        let by_type = report.by_type.into_iter();
        Ok(AuditReported {
            start_time: report.start_time,
            end_time: report.end_time,
            total_events: report.total_events,
            success_count: report.success_count,
            failure_count: report.failure_count,
            success_rate: report.success_rate,
            by_type: by_type.map(|(event, count)| (event.name().to_owned(), count)).collect(),
            by_principal: report.by_principal,
            by_key: report.by_key,
        })
    }
}

/// Verifies the files of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyAudit {}

/// What came of verifying a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditVerification)]
pub struct Verified {
    /// Whether nothing was found wrong.
    pub valid: bool,
    /// Records that are in order, from the first.
    pub records: u64,
    /// Checkpoints with a good signature.
    pub checkpoints: u64,
    /// What is wrong, the most telling first.
    pub errors: Vec<ViolationView>,
}

/// One thing that is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditViolation)]
pub struct ViolationView {
    /// Name of the file, without directory.
    pub file: String,
    /// Line in that file, from 1; 0 for the file as a whole.
    pub line: u64,
    /// The record it is about.
    pub seq: Option<u64>,
    /// What was done.
    pub kind: String,
    /// How that shows.
    pub detail: String,
}

impl From<Verification> for Verified {
    fn from(verified: Verification) -> Self {
        let errors = verified.errors.into_iter().map(|error| ViolationView {
            file: error.file,
            line: error.line,
            seq: error.seq,
            kind: error.kind.name().to_owned(),
            detail: error.detail,
        });
        Self {
            valid: verified.valid,
            records: verified.records,
            checkpoints: verified.checkpoints,
            errors: errors.collect(),
        }
    }
}

impl Operation for VerifyAudit {
    type On = Unnamed;
    type Answer = Verified;
    const NAME: &'static str = "audit.verify";
    const ABOUT: &'static str = "Verify the log files: chain, tree, checkpoints";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/audit/verify";
    const NEEDS: Option<Permission> = Some(Permission::AuditRead);
    const EFFECT: Effect = Effect::Reads;

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Verified, Failure> {
        Ok(desk.kms.audit(desk.caller).verify_integrity()?.into())
    }
}
