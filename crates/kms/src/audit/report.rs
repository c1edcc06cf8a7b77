//! What happened in a period, counted.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::audit::AuditFault;
use crate::audit::AuditFiles;
use crate::audit::EventType;
use crate::audit::Query;
use crate::time::Timestamp;

/// The counts of a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditReport {
    /// The beginning of the period, inclusive.
    pub start_time: Timestamp,
    /// Its end, exclusive.
    pub end_time: Timestamp,
    /// Number of events.
    pub total_events: u64,
    /// Those that succeeded.
    pub success_count: u64,
    /// Those that did not.
    pub failure_count: u64,
    /// `success_count / total_events`, 0 to 1; `None` where nothing happened.
    pub success_rate: Option<f64>,
    /// Events of each type.
    pub by_type: BTreeMap<EventType, u64>,
    /// Events of each principal.
    pub by_principal: BTreeMap<String, u64>,
    /// Events about each key.
    pub by_key: BTreeMap<String, u64>,
}

impl AuditFiles {
    /// Counts what happened from `since` until `now`. The specification's `GenerateAuditReport`.
    ///
    /// # Errors
    ///
    /// As [`AuditFiles::events`].
    pub fn report(&self, since: Timestamp, now: Timestamp) -> Result<AuditReport, AuditFault> {
        let mut report = AuditReport {
            start_time: since,
            end_time: now,
            total_events: 0,
            success_count: 0,
            failure_count: 0,
            success_rate: None,
            by_type: BTreeMap::new(),
            by_principal: BTreeMap::new(),
            by_key: BTreeMap::new(),
        };
        let query = Query { since: Some(since), until: Some(now), ..Query::default() };
        self.visit(&query, |event, _| {
            report.total_events += 1;
            report.success_count += u64::from(event.success);
            *report.by_type.entry(event.event).or_default() += 1;
            if let Some(principal) = event.principal {
                *report.by_principal.entry(principal).or_default() += 1;
            }
            if let Some(key) = event.key {
                *report.by_key.entry(key.to_string()).or_default() += 1;
            }
        })?;
        report.failure_count = report.total_events - report.success_count;
        let (some, total) = (report.success_count as f64, report.total_events as f64);
        report.success_rate = (report.total_events > 0).then(|| some / total);
        Ok(report)
    }
}
