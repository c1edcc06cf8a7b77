//! `virtengine audit`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use kms::access::Permission;
use kms::audit::AuditEvent;
use kms::audit::ExportFormat;
use kms::audit::Head;
use kms::audit::Query;
use kms::audit::Verification;
use kms::audit::VerifyOptions;
use kms::audit::Violation;
use kms::audit::verify_files;
use kms::manager::Error;
use kms::manager::Fault;
use kms::time::Timestamp;
use serde::Serialize;

use crate::cli::audit::AuditCommand;
use crate::cli::audit::ExportArgs;
use crate::cli::audit::ExportForm;
use crate::cli::audit::LogArgs;
use crate::cli::audit::SinceArgs;
use crate::cli::audit::VerifyArgs;
use crate::cli::global::Global;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::output::Format;
use crate::output::progress::spin;
use crate::output::text::Details;
use crate::output::text::Table;
use crate::output::text::counts;
use crate::output::text::escape;
use crate::problem::Problem;
use crate::problem::say;
use crate::problem::warn;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::visit;

/// Carries out an `audit` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &AuditCommand) -> Result<Exit, Problem> {
    match command {
        AuditCommand::Verify(args) => verify(context, args),
        AuditCommand::Log(args) => visit(context, Stdin::Free, |visit| log(visit, args)),
        AuditCommand::Head => visit(context, Stdin::Free, head),
        AuditCommand::Report(args) => visit(context, Stdin::Free, |visit| report(visit, args)),
        AuditCommand::Export(args) => visit(context, Stdin::Free, |visit| export(visit, args)),
        AuditCommand::Checkpoint => visit(context, Stdin::Free, |visit| {
            let audit = visit.kms.audit(visit.caller);
            let Head { size, root } = audit.checkpoint()?;
            let audit_key = audit.audit_key().to_owned();
            print_head(visit, &HeadView { size, root: hex::encode(root), audit_key })
        }),
    }
}

fn log(visit: &Visit<'_>, args: &LogArgs) -> Result<Exit, Problem> {
    let now = visit.context.now();
    let since = args.since.map_or(Timestamp::EPOCH, |since| since.seen_from(now));
    let audit = visit.kms.audit(visit.caller);
    let mut events = match &args.key {
        Some(key) => audit.get_events_by_key(key, since)?,
        None => audit.get_events(since, args.event)?,
    };
    events.retain(|event| args.event.is_none_or(|wanted| event.event == wanted));
    let limit = args.limit.unwrap_or(usize::MAX);
    let latest = events.get(events.len().saturating_sub(limit)..).unwrap_or_default();
    match visit.context.format {
        Format::Json => output::bytes(&json_lines(latest)?)?,
        Format::Yaml => visit.context.data(&latest, String::new)?,
        Format::Text => {
            let names = audit.principal_names()?;
            let named = names.iter().map(|(id, name)| (id.to_string(), name.to_string()));
            visit.context.data(&latest, || table(latest, &named.collect()))?;
        }
    }
    Ok(Exit::Ok)
}

fn json_lines(events: &[AuditEvent]) -> Result<Vec<u8>, Problem> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event)
            .map_err(|e| Problem::io("a record cannot be shown", &io::Error::from(e)))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Records for people: principals by name, where the home knows it still.
fn table(events: &[AuditEvent], names: &BTreeMap<String, String>) -> String {
    let mut table = Table::new(&["SEQ", "TIME", "EVENT", "RESULT", "PRINCIPAL", "KEY"]);
    for event in events {
        let result = match (event.success, &event.error_code) {
            (true, _) => "ok".to_owned(),
            (false, code) => code.clone().unwrap_or_else(|| "failed".to_owned()),
        };
        let principal = event.principal.clone().unwrap_or_default();
        table.row([
            event.seq.to_string(),
            event.time.to_string(),
            event.event.to_string(),
            result,
            names.get(&principal).cloned().unwrap_or(principal),
            event.key.map(|key| key.to_string()).unwrap_or_default(),
        ]);
    }
    table.render_or("no records")
}

#[derive(Serialize)]
struct Verified<'a> {
    valid: bool,
    records: u64,
    checkpoints: u64,
    errors: &'a [Violation],
}

/// `audit verify --dir`: no home, no configuration, no lock and no passphrase.
///
/// # Errors
/// When the directory or stdout cannot be used.
pub(crate) fn verify_elsewhere(global: &Global, args: &VerifyArgs) -> Result<Exit, Problem> {
    let dir = args.dir.as_deref().unwrap_or(Path::new("."));
    let listed = dir.read_dir();
    _ = listed.map_err(|e| Problem::io(format!("cannot read {}", dir.display()), &e))?;
    if args.audit_key.is_none() {
        warn("the audit key is taken from the log's own directory; --audit-key PUB is stronger");
    }
    let verified = in_directory(dir, &options(args))?;
    print_verification(global.output.unwrap_or_default(), &verified)
}

/// Verifies the log of the home. A home that does not open because its log is damaged, or cannot be
/// written, is verified as a directory: the damage is what was asked for.
fn verify(context: &Context<'_>, args: &VerifyArgs) -> Result<Exit, Problem> {
    let options = options(args);
    let verified = match visit(context, Stdin::Free, |visit| in_home(visit, &options)) {
        Err(problem) if problem.exit == Exit::Integrity || problem.code == "read_only" => {
            warn(&problem.message);
            in_directory(&context.audit_dir(), &options)
        }
        other => other,
    }?;
    print_verification(context.format, &verified)
}

fn options(args: &VerifyArgs) -> VerifyOptions {
    VerifyOptions {
        audit_key: args.audit_key.clone(),
        expect_head: args.expect_head,
        ..VerifyOptions::default()
    }
}

fn in_directory(dir: &Path, options: &VerifyOptions) -> Result<Verification, Problem> {
    let verified = spin("verifying the audit log", || verify_files(dir, options));
    Ok(verified.map_err(Error::from)?)
}

fn in_home(visit: &Visit<'_>, options: &VerifyOptions) -> Result<Verification, Problem> {
    let audit = visit.kms.audit(visit.caller);
    let verified = spin("verifying the audit log", || audit.verify_integrity())?;
    let asked_more = options.audit_key.is_some() || options.expect_head.is_some();
    if !verified.valid || !asked_more {
        return Ok(verified);
    }
    in_directory(&visit.context.audit_dir(), options)
}

fn print_verification(format: Format, verified: &Verification) -> Result<Exit, Problem> {
    let Verification { valid, records, checkpoints, errors, .. } = verified;
    let shown = Verified { valid: *valid, records: *records, checkpoints: *checkpoints, errors };
    output::data(format, &shown, || {
        let mut text = Details::default()
            .add("valid", valid)
            .add("records", records)
            .add("checkpoints", checkpoints)
            .render();
        for error in errors {
            let Violation { file, line, kind, detail, .. } = error;
            text += &format!("{}:{line}: {kind}: {}\n", escape(file), escape(detail));
        }
        text
    })?;
    Ok(if *valid { Exit::Ok } else { Exit::Integrity })
}

#[derive(Serialize)]
struct HeadView {
    size: u64,
    root: String,
    audit_key: String,
}

fn head(visit: &Visit<'_>) -> Result<Exit, Problem> {
    visit.kms.access(visit.caller).check_permission(Permission::AuditRead)?;
    let status = visit.kms.status();
    let view =
        HeadView { size: status.audit_size, root: status.audit_root, audit_key: status.audit_key };
    print_head(visit, &view)
}

fn print_head(visit: &Visit<'_>, view: &HeadView) -> Result<Exit, Problem> {
    visit.context.data(view, || {
        Details::default()
            .add("size", view.size)
            .add("root", &view.root)
            .add("audit key", &view.audit_key)
            .render()
    })?;
    Ok(Exit::Ok)
}

fn report(visit: &Visit<'_>, args: &SinceArgs) -> Result<Exit, Problem> {
    let since = args.since.seen_from(visit.context.now());
    let report = visit.kms.audit(visit.caller).generate_audit_report(since)?;
    visit.context.data(&report, || {
        let rate = report.success_rate.map(|rate| format!("{:.2} %", rate * 100.0));
        Details::default()
            .add("from", report.start_time)
            .add("to", report.end_time)
            .add("events", report.total_events)
            .add("succeeded", report.success_count)
            .add("failed", report.failure_count)
            .maybe("success rate", rate)
            .add("by type", counts(&report.by_type))
            .add("by principal", counts(&report.by_principal))
            .add("by key", counts(&report.by_key))
            .render()
    })?;
    Ok(Exit::Ok)
}

fn export(visit: &Visit<'_>, args: &ExportArgs) -> Result<Exit, Problem> {
    let format = match args.format {
        ExportForm::Jsonl => ExportFormat::Jsonl,
        ExportForm::Csv => ExportFormat::Csv,
    };
    let audit = visit.kms.audit(visit.caller);
    let Some(path) = &args.out else {
        let mut stdout = io::stdout().lock();
        match audit.export(&Query::default(), format, &mut stdout) {
            Err(Error::Fault(Fault::Output(e))) => return Err(output::closed(&e)),
            done => _ = done?,
        }
        stdout.flush().map_err(|e| output::closed(&e))?;
        return Ok(Exit::Ok);
    };
    let refuse = |e| Problem::io(format!("cannot write {}", path.display()), &e);
    let file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(refuse)?;
    let mut writer = BufWriter::new(file);
    let records = spin("exporting", || audit.export(&Query::default(), format, &mut writer))?;
    let file = writer.into_inner().map_err(|e| refuse(e.into_error()))?;
    file.sync_all().map_err(refuse)?;
    say(&format!("{records} records written to {}", path.display()));
    Ok(Exit::Ok)
}
