//! The log in the form of other tools.

use std::io;
use std::io::Write;
use std::str::FromStr;

use crate::audit::AuditEvent;
use crate::audit::AuditFault;
use crate::audit::AuditFiles;
use crate::audit::Detail;
use crate::audit::Query;

/// A form of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// The lines of the log, byte for byte: what can be verified.
    Jsonl,
    /// A table (RFC 4180) with a first row of names, safe to open in a spreadsheet.
    Csv,
}

/// A text that names no form of export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no export format; there are jsonl and csv")]
pub struct UnknownFormat(String);

impl FromStr for ExportFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "jsonl" => Ok(Self::Jsonl),
            "csv" => Ok(Self::Csv),
            other => Err(UnknownFormat(other.chars().take(40).collect())),
        }
    }
}

/// The first row of the table.
const COLUMNS: &str = "seq,time,type,success,phase,cause,request,session,principal,ip,agent,key,\
                       op,code,error,details,rid,prev";

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] AuditFault),
    /// Where it goes to took no more.
    #[error("export: {0}")]
    Output(#[source] io::Error),
}

impl AuditFiles {
    /// Writes the events that `query` wants to `out`, oldest first; returns how many.
    ///
    /// # Errors
    ///
    /// [`ExportError`]; what was written until then stays written.
    pub fn export(
        &self,
        query: &Query,
        format: ExportFormat,
        out: &mut dyn Write,
    ) -> Result<u64, ExportError> {
        let mut written = match format {
            ExportFormat::Jsonl => Ok(()),
            ExportFormat::Csv => out.write_all(format!("{COLUMNS}\r\n").as_bytes()),
        };
        let mut count = 0;
        self.visit(query, |event, line| {
            if written.is_ok() {
                written = match format {
                    ExportFormat::Jsonl => out.write_all(line).and_then(|()| out.write_all(b"\n")),
                    ExportFormat::Csv => out.write_all(row(&event).as_bytes()),
                };
                count += 1;
            }
        })?;
        written.and_then(|()| out.flush()).map_err(ExportError::Output)?;
        Ok(count)
    }
}

fn row(event: &AuditEvent) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let cells = [
        event.seq.to_string(),
        event.time.to_string(),
        event.event.to_string(),
        event.success.to_string(),
        event.phase.to_string(),
        event.cause.to_string(),
        text(&event.request),
        text(&event.session),
        text(&event.principal),
        text(&event.source_ip),
        text(&event.user_agent),
        event.key.map(|key| key.to_string()).unwrap_or_default(),
        text(&event.operation),
        text(&event.error_code),
        text(&event.error_message),
        details(&event.details),
        event.rid.clone(),
        event.prev.clone(),
    ];
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    cells.join(",") + "\r\n"
}

fn details(details: &[(String, Detail)]) -> String {
    let shown = details.iter().map(|(name, value)| match value {
        Detail::Text(text) => format!("{name}={text}"),
        Detail::Number(number) => format!("{name}={number}"),
        Detail::Flag(flag) => format!("{name}={flag}"),
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// A cell (RFC 4180 section 2) that no spreadsheet takes for a formula: what begins like one gets
/// an apostrophe in front, and line breaks and control characters become spaces.
fn quoted(cell: &str) -> String {
    let flat: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let formula = flat.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    let safe = if formula { format!("'{flat}") } else { flat };
    match safe.contains([',', '"', ' ']) {
        true => format!("\"{}\"", safe.replace('"', "\"\"")),
        false => safe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_become_a_formula_or_another_cell() {
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted(" @SUM(A1)"), "\"' @SUM(A1)\"");
        assert_eq!(quoted("-2"), "'-2");
        assert_eq!(quoted("a,\"b\"\r\nc"), "\"a,\"\"b\"\"  c\"");
        assert_eq!(quoted("plain"), "plain");
    }

    #[test]
    fn an_unknown_format_is_named() {
        let error = "xml".parse::<ExportFormat>().unwrap_err().to_string();
        assert_eq!(error, "`xml` is no export format; there are jsonl and csv");
    }
}
