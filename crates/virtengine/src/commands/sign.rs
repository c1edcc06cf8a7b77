//! `virtengine sign` and `virtengine verify`.

use std::fs::File;
use std::io::IsTerminal;
use std::io::Read;
use std::io::stdin;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms::access::Permission;
use kms::manager::MESSAGE_LIMIT;
use kms_api::Bytes;
use kms_api::Sign;
use kms_api::Verify;
use kms_formats::signature::EcdsaSignature;

use crate::cli::sign::Encoding;
use crate::cli::sign::MessageArgs;
use crate::cli::sign::SignArgs;
use crate::cli::sign::VerifyArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::output::Format;
use crate::problem::Problem;
use crate::secrets::Stdin;
use crate::visit::visit;

/// A signature has at most so many bytes in any encoding.
const SIGNATURE_LIMIT: u64 = 4096;

/// `sign`.
///
/// # Errors
/// When there is no message, or the key may not or cannot sign.
pub(crate) fn sign(context: &Context<'_>, args: &SignArgs) -> Result<Exit, Problem> {
    let (message, stdin) = message(&args.message)?;
    let binary = context.format == Format::Text && args.encoding.is_binary();
    if binary {
        output::takes_binary()?;
    }
    visit(context, stdin, |visit| {
        let (bytes, key) = (message.len(), &args.key);
        let would = || Ok(format!("sign {bytes} bytes with {}", visit.key(key)?.name));
        if let Some(exit) = visit.rehearse(Permission::KeySign, would)? {
            return Ok(exit);
        }
        let signed = visit.ask(
            key.clone(),
            Sign {
                message: Bytes(message.clone()),
                empty: args.message.empty,
                encoding: args.encoding.wire(),
                scheme: args.scheme.scheme(),
            },
        )?;
        if binary {
            output::bytes(&STANDARD.decode(&signed.signature).map_err(|e| unreadable(&e))?)?;
            return Ok(Exit::Ok);
        }
        context.data(&signed, || signed.signature.clone())?;
        Ok(Exit::Ok)
    })
}

fn unreadable(error: &dyn std::error::Error) -> Problem {
    Problem::new(Exit::Other, "answer_invalid", "the signature that came back is no base64")
        .because(error.to_string())
}

/// `verify`: exit 0 or 8.
///
/// # Errors
/// When there is no message, or the key may not verify.
pub(crate) fn verify(context: &Context<'_>, args: &VerifyArgs) -> Result<Exit, Problem> {
    let given = given_signature(args)?;
    let (message, stdin) = message(&args.message)?;
    visit(context, stdin, |visit| {
        // What cannot be read is not valid, on record.
        let signature = decode(&given, args.encoding).unwrap_or_default();
        let verified = visit.ask(
            args.key.clone(),
            Verify {
                message: Bytes(message.clone()),
                signature: STANDARD.encode(signature),
                encoding: kms_api::Encoding::Base64,
                scheme: args.scheme.scheme(),
            },
        )?;
        let valid = verified.valid;
        context.data(&verified, || if valid { "valid" } else { "NOT valid" }.to_owned())?;
        Ok(if valid { Exit::Ok } else { Exit::Integrity })
    })
}

/// The message, and whether stdin was read for it.
/// The message, and who reads stdin.
///
/// # Errors
/// When there is none, it is empty without being said to be, or too long.
pub(crate) fn message(args: &MessageArgs) -> Result<(Vec<u8>, Stdin), Problem> {
    if args.empty && args.file.is_none() {
        return Ok((Vec::new(), Stdin::Free));
    }
    let (bytes, taken) = match args.file.as_deref() {
        Some(path) if path != Path::new("-") => (read_file(path)?, Stdin::Free),
        None if stdin().is_terminal() => return Err(no_message("no message is given")),
        Some(_) | None => (read(stdin(), "stdin")?, Stdin::Taken),
    };
    if bytes.is_empty() && !args.empty {
        return Err(no_message("the message is empty"));
    }
    Ok((bytes, taken))
}

fn no_message(message: &str) -> Problem {
    let mut problem = Problem::usage(message);
    problem.code = "message_missing".into();
    problem.fix("an empty message must be said: --empty").fix("add --in FILE")
}

fn read_file(path: &Path) -> Result<Vec<u8>, Problem> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|e| Problem::io(format!("cannot read {name}"), &e))?;
    read(file, &name)
}

fn read(from: impl Read, name: &str) -> Result<Vec<u8>, Problem> {
    let limit = u64::try_from(MESSAGE_LIMIT).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let mut from = from.take(limit.saturating_add(1));
    from.read_to_end(&mut bytes).map_err(|e| Problem::io(format!("cannot read {name}"), &e))?;
    if bytes.len() > MESSAGE_LIMIT {
        let mut problem = Problem::usage(format!("{name} is longer than {MESSAGE_LIMIT} bytes"));
        problem.code = "message_too_long".into();
        return Err(problem.fix("with a secp256k1 or p256 key, sign its digest: --prehashed"));
    }
    Ok(bytes)
}

fn given_signature(args: &VerifyArgs) -> Result<Vec<u8>, Problem> {
    let Some(path) = &args.signature_file else {
        return Ok(args.signature.clone().unwrap_or_default().into_bytes());
    };
    let unreadable = |e| Problem::io(format!("cannot read {}", path.display()), &e);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(SIGNATURE_LIMIT).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The signature in the algorithm's own bytes; nothing where it is no such encoding. Without an
/// encoding, what it looks like counts: text or bytes, and for ECDSA also DER or r, s and v.
fn decode(given: &[u8], encoding: Option<Encoding>) -> Option<Vec<u8>> {
    let text = || std::str::from_utf8(given).ok().map(str::trim);
    let hex = || hex::decode(text()?.trim_start_matches("0x")).ok();
    let base64 = || STANDARD.decode(text()?).ok();
    let bytes = || hex().or_else(base64).unwrap_or_else(|| given.to_vec());
    match encoding {
        Some(Encoding::Hex) => hex(),
        Some(Encoding::Base64) => base64(),
        Some(Encoding::Raw) => Some(bytes()),
        Some(Encoding::Der) => der(given).or_else(|| der(&bytes())),
        Some(Encoding::Rsv) => rsv(&bytes()),
        None => {
            let bytes = bytes();
            if bytes.len() == 64 {
                return Some(bytes); // Ed25519, or r and s
            }
            der(&bytes).or_else(|| rsv(&bytes)).or(Some(bytes))
        }
    }
}

fn der(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(EcdsaSignature::from_der(bytes).ok()?.as_bytes().to_vec())
}

fn rsv(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(EcdsaSignature::from_rsv(bytes).ok()?.0.as_bytes().to_vec())
}
