//! `virtengine keys export`: the public half, in the form others want it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use kms_api::ExportPublicKey;
use kms_formats::public::InvalidPublicKey;
use kms_formats::public::PublicKey;

use crate::cli::keys::ExportArgs;
use crate::cli::keys::PublicForm;
use crate::exit::Exit;
use crate::output;
use crate::problem::Problem;
use crate::visit::Visit;

/// Writes the public half of a key.
///
/// # Errors
/// When the key has no such form, or the file exists or cannot be written.
pub(crate) fn export(visit: &Visit<'_>, args: &ExportArgs) -> Result<Exit, Problem> {
    let public = visit.ask(args.key.clone(), ExportPublicKey {})?;
    let key = PublicKey::new(public.algorithm, &public.public_key.0).map_err(unencodable)?;
    let (bytes, is_text) = encode(&key, args.format)?;
    match &args.out {
        Some(file) => create(file, &bytes)?,
        None if is_text => output::bytes(&bytes)?,
        None => {
            output::takes_binary()?;
            output::bytes(&bytes)?;
        }
    }
    Ok(Exit::Ok)
}

/// Writes a new file; never over one that exists.
///
/// # Errors
/// When it exists or cannot be written.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let refuse = |e| Problem::io(format!("cannot write {}", path.display()), &e);
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(refuse)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(refuse)
}

/// The bytes, and whether they are text.
fn encode(key: &PublicKey, form: PublicForm) -> Result<(Vec<u8>, bool), Problem> {
    let line = |text: String| (format!("{text}\n").into_bytes(), true);
    Ok(match form {
        PublicForm::Pem => (key.to_spki_pem().map_err(unencodable)?.into_bytes(), true),
        PublicForm::Spki => (key.to_spki_der().map_err(unencodable)?, false),
        PublicForm::Raw => (key.as_bytes().to_vec(), false),
        PublicForm::Hex => line(hex::encode(key.as_bytes())),
        PublicForm::Base64 => line(key.to_base64()),
        PublicForm::Ssh => {
            let text = key.to_openssh().map_err(unencodable)?;
            line(text.ok_or_else(|| no_form(key, "an SSH"))?)
        }
        PublicForm::Cosmos => line(key.to_cosmos_json().ok_or_else(|| no_form(key, "a Cosmos"))?),
    })
}

fn no_form(key: &PublicKey, whose: &str) -> Problem {
    Problem::usage(format!("a {} key has not {whose} form", key.algorithm()))
        .fix("--format pem, spki, raw, hex or base64")
}

/// A stored public key that cannot be encoded: its record was altered.
fn unencodable(error: InvalidPublicKey) -> Problem {
    Problem::new(Exit::Integrity, "public_key_invalid", "the stored public key is damaged")
        .because(error.to_string())
}
