//! The daemon as a command finds it: where it is, and the session that was kept.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use kms::access::PrincipalName;
use kms::time::Timestamp;
use kms_api::LoggedIn;
use kms_api::Secret;
use kms_secret::SecretBytes;
use kms_server::Address;
use kms_server::Client;
use kms_server::ClientError;
use kms_server::Trust;
use serde::Deserialize;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::problem::warn;

/// What the command line calls itself.
pub(crate) const AGENT: &str = concat!("virtengine/", env!("CARGO_PKG_VERSION"));

/// A kept session is at most so many bytes.
const SESSION_FILE_LIMIT: usize = 4096;

/// The daemon that this command talks to: the one that is named, or the one of the home, if it runs.
///
/// # Errors
/// When one is named and cannot be reached.
pub(crate) fn find(context: &Context<'_>) -> Result<Option<Client>, Problem> {
    let global = context.global;
    let own = global.client_cert.clone().zip(global.client_key.clone());
    let trust = Trust { ca: global.server_ca.clone(), own };
    if let Some(address) = &global.server {
        return Ok(Some(Client::connect(address, &trust, AGENT)?));
    }
    let socket = context.socket();
    if !socket.exists() {
        return Ok(None);
    }
    match Client::connect(&Address::Unix(socket), &trust, AGENT) {
        Ok(client) => Ok(Some(client)),
        // What a daemon left that was killed: the home is free.
        Err(ClientError::Unreachable { source, .. })
            if source.kind() == std::io::ErrorKind::ConnectionRefused =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The daemon; a command that needs one.
///
/// # Errors
/// When there is none.
pub(crate) fn needed(context: &Context<'_>) -> Result<Client, Problem> {
    find(context)?.ok_or_else(|| {
        let message = format!("no daemon runs on {}", context.home.display());
        Problem::new(Exit::Unavailable, "no_daemon", message)
            .fix("name one: --server ADDRESS")
            .fix("start one: virtengine serve")
    })
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        let new = |code, message| Self::new(Exit::Unavailable, code, message);
        match error {
            ClientError::Failed(failure) => failure.into(),
            ClientError::Unreachable { address, source } => {
                new("server_unreachable", format!("no daemon answers at {address}"))
                    .because(source.to_string())
            }
            ClientError::Tls(why) => {
                new("server_not_trusted", "the daemon is not who it should be".to_owned())
                    .because(why)
                    .fix("trust its authority: --server-ca FILE")
            }
            ClientError::Broken(why) => {
                new("server_broken_off", "the daemon broke off".to_owned()).because(why)
            }
            ClientError::Output(error) => Self::io("the answer cannot be written", &error),
        }
    }
}

/// A session that was kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The session.
    pub(crate) session: Secret,
    /// Who began it.
    pub(crate) principal: PrincipalName,
    expires_at: Timestamp,
}

impl Kept {
    /// The session kept for a daemon. None where the command says who calls.
    pub(crate) fn find(context: &Context<'_>, client: &Client) -> Option<Self> {
        let global = context.global;
        let says_who = global.principal.is_some()
            || global.passphrase_file.is_some()
            || global.passphrase_fd.is_some()
            || global.mfa_code.is_some();
        if says_who {
            return None;
        }
        let file = File::open(path(client)?).ok()?;
        let bytes = kms_secret::read_secret(file, SESSION_FILE_LIMIT).ok()?;
        let kept: Self = serde_json::from_slice(bytes.expose()).ok()?;
        (kept.expires_at > context.now()).then_some(kept)
    }

    /// Keeps a session for its owner only; `false` where there is no place for it.
    ///
    /// # Errors
    /// When the place cannot be written.
    pub(crate) fn keep(client: &Client, logged_in: &LoggedIn) -> Result<bool, Problem> {
        let Some(path) = path(client) else { return Ok(false) };
        let refuse = |e| Problem::io(format!("cannot write {}", path.display()), &e);
        let dir = path.parent().unwrap_or(&path);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(refuse)?;
        let kept = Self {
            session: Secret(SecretBytes::copy_from(logged_in.session.0.expose())),
            principal: logged_in.principal.clone(),
            expires_at: logged_in.expires_at,
        };
        let text = serde_json::to_vec(&kept).map_err(|e| {
            Problem::new(Exit::Other, "output", "the session cannot be kept").because(e.to_string())
        })?;
        let new = path.with_extension("new");
        _ = fs::remove_file(&new); // what a command left that was cut off
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(&new);
        file.and_then(|mut file| file.write_all(&text)).map_err(refuse)?;
        fs::rename(&new, &path).map_err(refuse)?;
        Ok(true)
    }

    /// Forgets the session kept for a daemon.
    pub(crate) fn forget(client: &Client) {
        let Some(path) = path(client) else { return };
        if let Err(e) = fs::remove_file(&path)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            warn(&format!("cannot remove {}: {e}", path.display()));
        }
    }
}

/// Where a session is kept: in the user's run-time directory, which a logout or a restart empties, or
/// else in their cache.
fn path(client: &Client) -> Option<PathBuf> {
    let directory =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|d| d.is_absolute());
    let dir = directory("XDG_RUNTIME_DIR").or_else(|| Some(directory("HOME")?.join(".cache")))?;
    let name = hex::encode(client.address().to_string());
    let short: String = name.chars().rev().take(100).collect();
    Some(dir.join("virtengine").join(format!("{short}.session")))
}
