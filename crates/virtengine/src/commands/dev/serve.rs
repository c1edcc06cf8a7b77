//! The throw-away home as a daemon, unlocked: for trying out HTTP. On a socket in its own directory and
//! nowhere else; no address of a network is ever listened on.

use kms::access::PrincipalName;
use kms::manager::KeyManager;
use kms::manager::Login;
use kms::manager::Options;
use kms_secret::SecretBytes;
use kms_server::Server;
use kms_server::Settings;
use kms_server::journal;
use kms_server::journal::Form;
use rustix::fs::Mode;
use rustix::process::umask;

use crate::commands::dev::home::ThrowAway;
use crate::output::Format;
use crate::output::secret::SecretText;
use crate::problem::Problem;

/// Serves it until it is interrupted.
///
/// # Errors
/// When the home does not open, or the socket cannot be made.
pub(crate) fn run(home: &ThrowAway, admin: &PrincipalName, format: Format) -> Result<(), Problem> {
    umask(Mode::from_raw_mode(0o077));
    journal::begin(Form::Text, true);
    let kms = KeyManager::open(Options { stays: true, ..home.options() })?;
    let login = home.login(admin);
    // The session is for whatever is tried out with it.
    let caller = kms.login(Login { client: login.client.clone().of_any_agent(), ..login })?;
    let session = SecretBytes::copy_from(caller.token().expose());
    let socket = home.home().join("kms.sock");
    let settings = Settings { unix: Some(socket.clone()), ..Settings::default() };
    let server = Server::listen(kms, settings)?;
    let text = match format {
        Format::Text => text(home, &session),
        Format::Json | Format::Yaml => SecretText::default()
            .add(&format!("{{\"unix\":\"{}\",\"session\":", socket.display()))
            .json(&session)?
            .add("}\n"),
    };
    drop(session);
    let told = move || {
        if let Err(problem) = text.write() {
            journal::line(journal::Level::Warning, &problem.message, &[]);
        }
    };
    server.on_ready(told).run()?;
    Ok(())
}

fn text(home: &ThrowAway, session: &SecretBytes) -> SecretText {
    let socket = home.home().join("kms.sock");
    let (socket, dir) = (socket.display().to_string(), home.home().display().to_string());
    let curl = format!("curl --unix-socket {socket} -H \"Authorization: Bearer $S\"");
    SecretText::default()
        .add(&format!("\nServed until Ctrl-C\n  socket: {socket}\n  session: "))
        .secret(session)
        .add("\n\nTry in another terminal, with S=the session\n")
        .add(&format!("  {curl} http://localhost/v1/keys\n"))
        .add(&format!(
            "  {curl} -H 'content-type: application/json' -d '{{\"message\":\"aGVsbG8=\"}}' \
             http://localhost/v1/keys/account/sign\n"
        ))
        .add(&format!("  virtengine status --home {dir}\n\n"))
}
