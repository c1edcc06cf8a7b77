//! `virtengine serve`: the daemon.

use std::io::IsTerminal;
use std::io::stderr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use kms::manager::KeyManager;
use kms::manager::Login;
use kms::manager::Options;
use kms_secret::SecretBytes;
use kms_server::Server;
use kms_server::ServerError;
use kms_server::Settings;
use kms_server::TlsSettings;
use kms_server::journal;
use kms_server::journal::Form;
use kms_server::journal::Level;
use rustix::fs::Mode;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use rustix::process::umask;
use serde::Serialize;

use crate::cli::system::LogForm;
use crate::cli::system::ServeArgs;
use crate::config;
use crate::config::Config;
use crate::context::Context;
use crate::daemon::AGENT;
use crate::exit::Exit;
use crate::output;
use crate::output::Format;
use crate::problem::Problem;
use crate::problem::warn;
use crate::sandbox::Sandbox;
use crate::secrets;
use crate::signer;
use crate::visit;

/// Where systemd puts what `LoadCredential=passphrase:…` names.
const CREDENTIAL: &str = "passphrase";

/// What the C library reads to find a host by its name.
const NAMES_OF_HOSTS: [&str; 6] =
    ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/lib", "/usr/lib"];

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// When the home cannot be opened or an address cannot be listened on.
pub(crate) fn run(context: &Context<'_>, args: &ServeArgs) -> Result<Exit, Problem> {
    umask(Mode::from_raw_mode(0o077));
    journal::begin(form(args), args.log_requests);
    let mut settings = settings(context, args)?;
    settings.limits.connections = connections(settings.limits.connections);
    for shortfall in sandbox(context, &settings).enter() {
        journal::line(Level::Warning, &shortfall, &[]);
    }
    let kms = visit::open_with(Options { stays: true, ..context.options()? }, context)?;
    check_development(&kms, &settings)?;
    visit::unseal_by_token(context, &kms);
    unlock(context, &kms)?;
    let kms = Arc::new(kms);
    let unix = settings.unix.clone();
    let server = Server::listen(Arc::clone(&kms), settings)?
        .on_reload(reload(context))
        .notifying(std::env::var_os("NOTIFY_SOCKET"));
    let signer = signer::start(&kms, &context.home, &context.loaded.config.validator)?;
    let signer = Arc::new(signer);
    let its = Arc::downgrade(&signer);
    let server = server.with_metrics(move || {
        its.upgrade().map(|signer| signer::metrics(&signer)).unwrap_or_default()
    });
    let listen = server.address().map(|address| address.to_string());
    let (format, listening) = (context.format, Listening { unix, listen });
    server.on_ready(move || announce(format, &listening)).run()?;
    drop(signer); // hangs up, and waits for a signature that is being made
    if let Some(kms) = Arc::into_inner(kms) {
        kms.close()?;
    }
    journal::line(Level::Info, "stopped", &[]);
    Ok(Exit::Ok)
}

/// As many connections as there are descriptors for, beside those of the home: where none is left, none
/// could be accepted for which an idle one goes.
fn connections(wanted: usize) -> usize {
    const BESIDE: u64 = 128;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let have = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let room = have.map_or(u64::MAX, |have| have.saturating_sub(BESIDE).max(1));
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

/// What the daemon keeps: its home, its log, its socket; what it is configured with, to read again.
fn sandbox(context: &Context<'_>, settings: &Settings) -> Sandbox {
    let parent = |path: &Path| path.parent().map(Path::to_owned);
    let mut writes = vec![context.home.clone(), context.audit_dir()];
    writes.extend(settings.unix.as_deref().and_then(parent));
    let mut reads: Vec<_> =
        ["/etc/virtengine", "/etc/machine-id", "/proc/self"].map(PathBuf::from).into();
    if !context.loaded.config.validator.is_empty() {
        reads.extend(NAMES_OF_HOSTS.map(PathBuf::from)); // nodes may be named
    }
    if let Some(tls) = &settings.tls {
        // Their directories: whoever renews a certificate puts a new file in place.
        let files = [Some(&tls.certificate), Some(&tls.key), tls.client_ca.as_ref()];
        reads.extend(files.into_iter().flatten().filter_map(|file| parent(file)));
    }
    reads.extend(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from));
    reads.extend(context.global.passphrase_file.clone());
    reads.extend(std::env::var_os("VIRTENGINE_PASSPHRASE_FILE").map(PathBuf::from));
    // Each HSM's library runs in a process of its own.
    let starts_programs = !context.loaded.config.hsm.is_empty();
    Sandbox { writes, reads, starts_programs }
}

fn form(args: &ServeArgs) -> Form {
    match args.log_format {
        Some(LogForm::Text) => Form::Text,
        Some(LogForm::Json) => Form::Json,
        None if stderr().is_terminal() => Form::Text,
        None => Form::Json,
    }
}

fn settings(context: &Context<'_>, args: &ServeArgs) -> Result<Settings, Problem> {
    let unix = args.unix.as_ref().map(|path| context.home.join(path));
    Ok(Settings {
        unix: Some(unix.unwrap_or_else(|| context.socket())),
        tls: tls(&context.loaded.config, &context.home, args.listen)?,
        limits: context.loaded.config.server.limits(),
    })
}

/// TLS as it is configured; an address alone is not enough.
fn tls(
    config: &Config,
    home: &Path,
    listen: Option<std::net::SocketAddr>,
) -> Result<Option<TlsSettings>, Problem> {
    let server = &config.server;
    let Some(listen) = listen.or(server.listen) else { return Ok(None) };
    let file = |path: &Option<PathBuf>, name: &str| {
        let path = path.as_ref().map(|path| home.join(path));
        path.ok_or_else(|| {
            Problem::usage(format!("server.listen needs server.{name}"))
                .because("nobody is served over a network without TLS")
        })
    };
    Ok(Some(TlsSettings {
        listen,
        certificate: file(&server.tls_cert, "tls_cert")?,
        key: file(&server.tls_key, "tls_key")?,
        client_ca: server.client_ca.as_ref().map(|path| home.join(path)),
    }))
}

/// A home without second factors is for this machine alone.
fn check_development(kms: &KeyManager, settings: &Settings) -> Result<(), Problem> {
    let outside = settings.tls.as_ref().is_some_and(|tls| !tls.listen.ip().is_loopback());
    if outside && kms.status().development {
        let message = "a development home is served to this machine only";
        return Err(Problem::new(Exit::Unsafe, "development_home", message)
            .because("it was made with --mfa none: nobody is asked for a second factor")
            .fix("listen on 127.0.0.1, or make a home with a second factor"));
    }
    Ok(())
}

/// Unlocks at the start where a passphrase was given, by a flag or as a credential of systemd.
fn unlock(context: &Context<'_>, kms: &KeyManager) -> Result<(), Problem> {
    let Some(passphrase) = given(context)? else { return Ok(()) };
    let named = context.global.principal.clone().or_else(|| kms.default_principal());
    let principal = named.ok_or_else(|| {
        Problem::usage("no principal is named, and there is more than one administrator")
            .fix("add --as PRINCIPAL")
    })?;
    let client = kms::manager::Client { source_ip: None, user_agent: AGENT.to_owned() };
    let code = context.global.mfa_code.as_deref();
    let login = Login { principal: &principal, passphrase: &passphrase, mfa_code: code, client };
    let caller = kms.login(login)?;
    kms.logout(caller)?;
    if kms.is_sealed() {
        warn(&format!("{principal} does not open the keystore: it stays locked"));
    }
    Ok(())
}

fn given(context: &Context<'_>) -> Result<Option<SecretBytes>, Problem> {
    if secrets::is_given(context.global) {
        return secrets::passphrase(context.global, "Passphrase", secrets::Stdin::Free).map(Some);
    }
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY");
    let file = directory.map(|directory| Path::new(&directory).join(CREDENTIAL));
    match file.filter(|file| file.exists()) {
        Some(file) => secrets::line_of(&file).map(Some),
        None => Ok(None),
    }
}

/// At SIGHUP: the whole configuration is read again, and none of it is taken when any of it is bad.
fn reload(
    context: &Context<'_>,
) -> impl Fn() -> Result<Option<TlsSettings>, String> + Send + Sync + 'static {
    let home = context.home.clone();
    move || {
        let said = |problem: Problem| match &*problem.reason {
            "" => problem.message.clone(),
            reason => format!("{}: {reason}", problem.message),
        };
        let loaded = config::load(&home).map_err(said)?;
        tls(&loaded.config, &home, None).map_err(said)
    }
}

#[derive(Serialize)]
struct Listening {
    unix: Option<PathBuf>,
    listen: Option<String>,
}

/// Says where it listens, for scripts: a port may have been asked for as 0. Whoever started it need
/// not read that.
fn announce(format: Format, listening: &Listening) {
    let shown = output::data(format, listening, || {
        let unix = listening.unix.as_ref().map(|path| format!("unix    {}\n", path.display()));
        let listen = listening.listen.as_ref().map(|address| format!("listen  {address}\n"));
        unix.into_iter().chain(listen).collect()
    });
    if let Err(problem) = shown {
        journal::line(Level::Warning, &problem.message, &[]);
    }
}

impl From<ServerError> for Problem {
    fn from(error: ServerError) -> Self {
        let message = error.to_string();
        journal::line(Level::Error, "cannot serve", &[("why", &message)]);
        match error {
            ServerError::Home(error) => error.into(),
            ServerError::Listen { .. } => Self::new(Exit::Conflict, "cannot_listen", message),
            ServerError::NoSocket(_) => Self::new(Exit::Conflict, "no_socket", message),
            ServerError::Tls(_) => Self::new(Exit::Usage, "tls_invalid", message),
            ServerError::Threads(_) => Self::new(Exit::Unavailable, "no_threads", message),
        }
    }
}
