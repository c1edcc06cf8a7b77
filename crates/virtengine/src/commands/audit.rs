//! `virtengine audit`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use kms::audit::ExportFormat;
use kms::audit::VerifyOptions;
use kms::audit::verify_files;
use kms::manager::Error;
use kms_api::AuditHead;
use kms_api::CheckpointAudit;
use kms_api::Event;
use kms_api::ListEvents;
use kms_api::NamePrincipals;
use kms_api::Operation;
use kms_api::ReadHead;
use kms_api::ReportAudit;
use kms_api::Unnamed;
use kms_api::Verified;
use kms_api::VerifyAudit;
use kms_api::ViolationView;

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
use crate::visit::ExportFailed;
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
            print_head(visit, &visit.ask(Unnamed, CheckpointAudit {})?)
        }),
    }
}

fn log(visit: &Visit<'_>, args: &LogArgs) -> Result<Exit, Problem> {
    let events = events(visit, args)?;
    match visit.context.format {
        Format::Json => output::bytes(&json_lines(&events)?)?,
        Format::Yaml => visit.context.data(&events, String::new)?,
        Format::Text => {
            let names = visit.ask(Unnamed, NamePrincipals {})?;
            visit.context.data(&events, || table(&events, &names))?;
        }
    }
    Ok(Exit::Ok)
}

/// The records that are asked for, page by page; with a limit, the latest.
fn events(visit: &Visit<'_>, args: &LogArgs) -> Result<Vec<Event>, Problem> {
    let now = visit.context.now();
    let mut page = ListEvents {
        since: args.since.map(|since| since.seen_from(now)),
        event: args.event,
        key: args.key.clone(),
        ..ListEvents::default()
    };
    if let Some(latest) = args.limit.and_then(|limit| u32::try_from(limit).ok())
        && (1..=1000).contains(&latest)
    {
        page.latest = Some(latest);
        return visit.ask(Unnamed, page);
    }
    let mut events = Vec::new();
    loop {
        let found = visit.ask(Unnamed, page.clone())?;
        let next = ListEvents::next(&found).and_then(|next| next.parse().ok());
        events.extend(found);
        page.after = next;
        if next.is_none() {
            break;
        }
    }
    let surplus = events.len().saturating_sub(args.limit.unwrap_or(usize::MAX));
    Ok(events.split_off(surplus))
}

fn json_lines(events: &[Event]) -> Result<Vec<u8>, Problem> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event)
            .map_err(|e| Problem::io("a record cannot be shown", &io::Error::from(e)))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Records for people: principals by name, where the home knows it still.
fn table(events: &[Event], names: &BTreeMap<String, String>) -> String {
    let mut table = Table::new(&["SEQ", "TIME", "EVENT", "RESULT", "PRINCIPAL", "KEY"]);
    for Event(event) in events {
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

fn in_directory(dir: &Path, options: &VerifyOptions) -> Result<Verified, Problem> {
    let verified = spin("verifying the audit log", || verify_files(dir, options));
    Ok(verified.map_err(Error::from)?.into())
}

fn in_home(visit: &Visit<'_>, options: &VerifyOptions) -> Result<Verified, Problem> {
    let verified = spin("verifying the audit log", || visit.ask(Unnamed, VerifyAudit {}))?;
    let asked_more = options.audit_key.is_some() || options.expect_head.is_some();
    if !verified.valid || !asked_more {
        return Ok(verified);
    }
    in_directory(&visit.context.audit_dir(), options)
}

fn print_verification(format: Format, verified: &Verified) -> Result<Exit, Problem> {
    let Verified { valid, records, checkpoints, errors } = verified;
    output::data(format, verified, || {
        let mut text = Details::default()
            .add("valid", valid)
            .add("records", records)
            .add("checkpoints", checkpoints)
            .render();
        for error in errors {
            let ViolationView { file, line, kind, detail, .. } = error;
            text += &format!("{}:{line}: {kind}: {}\n", escape(file), escape(detail));
        }
        text
    })?;
    Ok(if *valid { Exit::Ok } else { Exit::Integrity })
}

fn head(visit: &Visit<'_>) -> Result<Exit, Problem> {
    print_head(visit, &visit.ask(Unnamed, ReadHead {})?)
}

fn print_head(visit: &Visit<'_>, view: &AuditHead) -> Result<Exit, Problem> {
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
    let report = visit.ask(Unnamed, ReportAudit { since })?;
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
    let Some(path) = &args.out else {
        let mut stdout = io::stdout().lock();
        match visit.export(format, &mut stdout) {
            Err(ExportFailed::Output(e)) => return Err(output::closed(&e)),
            Err(ExportFailed::Refused(problem)) => return Err(problem),
            Ok(_) => {}
        }
        stdout.flush().map_err(|e| output::closed(&e))?;
        return Ok(Exit::Ok);
    };
    let refuse = |e| Problem::io(format!("cannot write {}", path.display()), &e);
    let file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(refuse)?;
    let mut writer = BufWriter::new(file);
    let exported = spin("exporting", || visit.export(format, &mut writer));
    let records = exported.map_err(|failed| match failed {
        ExportFailed::Output(e) => refuse(e),
        ExportFailed::Refused(problem) => problem,
    })?;
    let file = writer.into_inner().map_err(|e| refuse(e.into_error()))?;
    file.sync_all().map_err(refuse)?;
    say(&format!("{records} records written to {}", path.display()));
    Ok(Exit::Ok)
}
