//! `virtengine config`: no home is needed, no lock and no passphrase.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::global::Global;
use crate::cli::system::ConfigCheckArgs;
use crate::cli::system::ConfigCommand;
use crate::config;
use crate::config::Config;
use crate::config::Finding;
use crate::context;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::output::Format;
use crate::output::text::escape;
use crate::problem::Problem;

/// Carries out a `config` command.
///
/// # Errors
/// When the file cannot be read; for `show`, also when it is invalid.
pub(crate) fn run(
    command: &ConfigCommand,
    global: &Global,
    format: &mut Format,
) -> Result<Exit, Problem> {
    match command {
        ConfigCommand::Check(args) => check(args, global),
        ConfigCommand::Show => show(&Context::new(global, format)?),
    }
}

#[derive(Serialize)]
struct Checked {
    file: Option<PathBuf>,
    valid: bool,
    problems: Vec<Finding>,
}

fn check(args: &ConfigCheckArgs, global: &Global) -> Result<Exit, Problem> {
    let file = match &args.file {
        Some(file) => Some(file.clone()),
        None => config::find(&context::home(global)?)?,
    };
    let problems = file.as_deref().map(config::check).transpose()?.unwrap_or_default();
    let checked = Checked { file, valid: problems.is_empty(), problems };
    output::data(global.output.unwrap_or_default(), &checked, || text(&checked))?;
    Ok(if checked.valid { Exit::Ok } else { Exit::Usage })
}

fn text(checked: &Checked) -> String {
    let file = checked.file.as_ref().map(|file| file.display().to_string());
    let name = file.as_deref().unwrap_or("no configuration file: defaults");
    if checked.valid {
        return format!("{}: valid\n", escape(name));
    }
    let line = |finding: &Finding| format!("{}: {}\n", escape(name), escape(&finding.to_string()));
    checked.problems.iter().map(line).collect()
}

#[derive(Serialize)]
struct Shown<'a> {
    file: Option<&'a PathBuf>,
    home: &'a PathBuf,
    #[serde(flatten)]
    config: &'a Config,
}

fn show(context: &Context<'_>) -> Result<Exit, Problem> {
    let mut config = context.loaded.config.clone();
    config.output = context.format;
    let file = context.loaded.file.as_ref();
    let shown = Shown { file, home: &context.home, config: &config };
    let mut toml = file.map_or_else(
        || "# no configuration file: defaults\n".to_owned(),
        |file| format!("# {}\n", escape(&file.display().to_string())),
    );
    toml += &format!("# home: {}\n", escape(&context.home.display().to_string()));
    let settings = toml::to_string(&config).map_err(|e| {
        Problem::new(Exit::Other, "output", "settings cannot be shown").because(e.to_string())
    })?;
    toml += &settings;
    context.data(&shown, || toml)?;
    Ok(Exit::Ok)
}
