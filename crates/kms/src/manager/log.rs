//! [`AuditManager`]: reading, verifying, reporting and exporting the log, for one caller.
//!
//! Reading and exporting are events too. Writing on behalf of a caller needs a grant and carries
//! the caller's own identity, so nobody can forge a record of another.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::io::Write;

use crate::access::Permission;
use crate::access::PrincipalId;
use crate::access::PrincipalName;
use crate::access::Target;
use crate::audit::AuditEvent;
use crate::audit::AuditReport;
use crate::audit::DETAILS;
use crate::audit::Detail;
use crate::audit::EventType;
use crate::audit::ExportError;
use crate::audit::ExportFormat;
use crate::audit::Head;
use crate::audit::Query;
use crate::audit::Verification;
use crate::key::KeyRef;
use crate::manager::Caller;
use crate::manager::Error;
use crate::manager::Fault;
use crate::manager::KeyManager;
use crate::time::Timestamp;

/// The specification's `AuditLogger`, for one caller.
#[derive(Debug)]
pub struct AuditManager<'a> {
    pub(crate) kms: &'a KeyManager,
    pub(crate) caller: &'a Caller,
}

/// A record a caller wants written: what they did with a key outside this product.
#[derive(Debug, Clone, Default)]
pub struct KeyOperation {
    /// The key it was done with.
    pub key: Option<KeyRef>,
    /// What was done, in the caller's words.
    pub operation: String,
    /// Whether it was done.
    pub success: bool,
    /// What went wrong.
    pub error_message: Option<String>,
    /// Anything else.
    pub metadata: Vec<(String, String)>,
}

impl AuditManager<'_> {
    /// Writes a record of type `custom` with the caller's own identity; durable on return.
    /// Needs `key:sign` on the key, or `audit:export` where none is named.
    ///
    /// # Errors
    /// When the caller may not, or the record cannot be written.
    pub fn log_key_operation(&self, what: &KeyOperation) -> Result<(), Error> {
        self.kms.operation(self.caller, EventType::Custom, |way| {
            match &what.key {
                Some(key) => {
                    let record = way.find(key)?.read().clone();
                    _ = way.authorize_key(Permission::KeySign, &record)?;
                }
                None => _ = way.authorize(Permission::AuditExport, &Target::None)?,
            }
            way.draft.operation = Some(what.operation.clone());
            way.draft.success = what.success;
            way.draft.error_message = what.error_message.clone();
            let details = what
                .metadata
                .iter()
                .take(DETAILS)
                .map(|(name, value)| (name.clone(), Detail::Text(value.clone())));
            way.draft.details.extend(details);
            Ok(())
        })
    }

    /// The records since a moment, of one type or of all. Needs `audit:read`.
    ///
    /// # Errors
    /// When the caller may not, or the files cannot be read.
    pub fn get_events(
        &self,
        since: Timestamp,
        event: Option<EventType>,
    ) -> Result<Vec<AuditEvent>, Error> {
        self.find(&Query { since: Some(since), event, ..Query::default() })
    }

    /// The records about a key since a moment. Needs `audit:read`.
    ///
    /// # Errors
    /// As [`Self::get_events`]; also when there is no such key.
    pub fn get_events_by_key(
        &self,
        key: &KeyRef,
        since: Timestamp,
    ) -> Result<Vec<AuditEvent>, Error> {
        let id = match key {
            KeyRef::Id(id) => *id,
            KeyRef::Label(_) => self.kms.get_key(self.caller, key)?.id,
        };
        self.find(&Query { since: Some(since), key: Some(id), ..Query::default() })
    }

    /// The records a query asks for, oldest first. Needs `audit:read`.
    ///
    /// # Errors
    /// As [`Self::get_events`].
    pub fn find(&self, query: &Query) -> Result<Vec<AuditEvent>, Error> {
        self.kms.operation(self.caller, EventType::AuditRead, |way| {
            _ = way.authorize(Permission::AuditRead, &Target::None)?;
            let events = self.kms.audit.files().find(query)?;
            way.note("records", events.len().to_string());
            Ok(events)
        })
    }

    /// The latest `count` of the records a query asks for, oldest first. Needs `audit:read`.
    ///
    /// # Errors
    /// As [`Self::get_events`].
    pub fn find_latest(&self, query: &Query, count: usize) -> Result<Vec<AuditEvent>, Error> {
        self.kms.operation(self.caller, EventType::AuditRead, |way| {
            _ = way.authorize(Permission::AuditRead, &Target::None)?;
            let mut latest = VecDeque::new();
            self.kms.audit.files().visit(query, |event, _| {
                latest.push_back(event);
                if latest.len() > count {
                    latest.pop_front();
                }
            })?;
            way.note("records", latest.len().to_string());
            Ok(latest.into())
        })
    }

    /// Verifies the files of the log against its key, its checkpoints and its head. Needs
    /// `audit:read`.
    ///
    /// # Errors
    /// As [`Self::get_events`]; damage is an answer, not an error.
    pub fn verify_integrity(&self) -> Result<Verification, Error> {
        self.kms.operation(self.caller, EventType::AuditRead, |way| {
            _ = way.authorize(Permission::AuditRead, &Target::None)?;
            let verification = self.kms.audit.verify_integrity()?;
            way.note("valid", verification.valid.to_string());
            Ok(verification)
        })
    }

    /// Counts what was done since a moment. Needs `audit:read`.
    ///
    /// # Errors
    /// As [`Self::get_events`].
    pub fn generate_audit_report(&self, since: Timestamp) -> Result<AuditReport, Error> {
        self.kms.operation(self.caller, EventType::AuditRead, |way| {
            _ = way.authorize(Permission::AuditRead, &Target::None)?;
            way.note("report_since", since.to_string());
            Ok(self.kms.audit.files().report(since, way.now)?)
        })
    }

    /// Writes the records a query asks for to `out`: the exact lines, or CSV. Returns how many.
    /// Needs `audit:export`.
    ///
    /// # Errors
    /// As [`Self::get_events`]; also when `out` does not take them.
    pub fn export(
        &self,
        query: &Query,
        format: ExportFormat,
        out: &mut dyn Write,
    ) -> Result<u64, Error> {
        self.kms.operation(self.caller, EventType::AuditExported, |way| {
            _ = way.authorize(Permission::AuditExport, &Target::None)?;
            let exported = self.kms.audit.files().export(query, format, out);
            let count = exported.map_err(|error| match error {
                ExportError::Log(fault) => Error::from(fault),
                ExportError::Output(cause) => Fault::Output(cause).into(),
            })?;
            way.note("records", count.to_string());
            Ok(count)
        })
    }

    /// The size and the root of the log, signed now. Needs `audit:read`.
    ///
    /// # Errors
    /// As [`Self::get_events`]; also when the checkpoint cannot be written.
    pub fn checkpoint(&self) -> Result<Head, Error> {
        self.kms.operation(self.caller, EventType::AuditRead, |way| {
            _ = way.authorize(Permission::AuditRead, &Target::None)?;
            Ok(())
        })?;
        Ok(self.kms.audit.checkpoint_now()?)
    }

    /// The names of the principals that records name by id. Needs `audit:read`.
    ///
    /// # Errors
    /// As [`Self::get_events`].
    pub fn principal_names(&self) -> Result<BTreeMap<PrincipalId, PrincipalName>, Error> {
        self.kms.operation(self.caller, EventType::AuditRead, |way| {
            way.note("read", "principals");
            _ = way.authorize(Permission::AuditRead, &Target::None)?;
            let principals = self.kms.access.principals().into_iter();
            Ok(principals.map(|principal| (principal.id, principal.name)).collect())
        })
    }

    /// The public key checkpoints are signed with, as C2SP signed notes write it.
    pub fn audit_key(&self) -> &str {
        self.kms.audit.audit_key()
    }
}
