//! `virtengine sign` and `virtengine verify`.

use std::fs::File;
use std::io::IsTerminal;
use std::io::Read;
use std::io::stdin;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms::access::Permission;
use kms::key::Algorithm;
use kms::key::KeyId;
use kms::key::Signature;
use kms::manager::MESSAGE_LIMIT;
use kms_formats::signature::EcdsaSignature;
use serde::Serialize;

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
        if matches!(args.encoding, Encoding::Der | Encoding::Rsv) {
            // Before the key is used: a signature nobody can write down need not be made.
            has_form(visit.key(&args.key)?.algorithm(), args.encoding)?;
        }
        let would =
            || Ok(format!("sign {} bytes with {}", message.len(), visit.key(&args.key)?.label));
        if let Some(exit) = visit.rehearse(Permission::KeySign, would)? {
            return Ok(exit);
        }
        let scheme = args.scheme.scheme();
        let signed = visit.kms.sign(visit.caller, &args.key, &message, scheme)?;
        let bytes = encode(&signed.signature, args.encoding)?;
        let text = match args.encoding {
            Encoding::Hex | Encoding::Rsv => hex::encode(&bytes),
            Encoding::Raw | Encoding::Base64 | Encoding::Der => STANDARD.encode(&bytes),
        };
        if binary {
            output::bytes(&bytes)?;
            return Ok(Exit::Ok);
        }
        let shown = Signed {
            key_id: signed.key_id,
            algorithm: signed.signature.algorithm,
            encoding: args.encoding.name(),
            signature: &text,
        };
        context.data(&shown, || text.clone())?;
        Ok(Exit::Ok)
    })
}

/// `verify`: exit 0 or 8.
///
/// # Errors
/// When there is no message, or the key may not verify.
pub(crate) fn verify(context: &Context<'_>, args: &VerifyArgs) -> Result<Exit, Problem> {
    let given = given_signature(args)?;
    let (message, stdin) = message(&args.message)?;
    visit(context, stdin, |visit| {
        let signature = decode(&given, args.encoding);
        let scheme = args.scheme.scheme();
        let signature = signature.unwrap_or_default(); // what cannot be read is not valid, on record
        let valid = visit.kms.verify(visit.caller, &args.key, &message, &signature, scheme)?;
        context
            .data(&Verified { valid }, || if valid { "valid" } else { "NOT valid" }.to_owned())?;
        Ok(if valid { Exit::Ok } else { Exit::Integrity })
    })
}

#[derive(Serialize)]
struct Signed<'a> {
    key_id: KeyId,
    algorithm: Algorithm,
    encoding: &'static str,
    signature: &'a str,
}

#[derive(Serialize)]
struct Verified {
    valid: bool,
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
    problem.code = "message_missing";
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
        problem.code = "message_too_long";
        return Err(problem.fix("with a secp256k1 or p256 key, sign its digest: --prehashed"));
    }
    Ok(bytes)
}

/// Whether signatures of `algorithm` can be written so.
fn has_form(algorithm: Algorithm, encoding: Encoding) -> Result<(), Problem> {
    let fits = match (encoding, algorithm) {
        (Encoding::Raw | Encoding::Hex | Encoding::Base64, _)
        | (Encoding::Der, Algorithm::Secp256k1 | Algorithm::P256)
        | (Encoding::Rsv, Algorithm::Secp256k1) => true,
        (Encoding::Der, Algorithm::Ed25519 | Algorithm::Rsa2048 | Algorithm::Rsa4096)
        | (
            Encoding::Rsv,
            Algorithm::Ed25519 | Algorithm::P256 | Algorithm::Rsa2048 | Algorithm::Rsa4096,
        ) => false,
    };
    if fits { Ok(()) } else { Err(no_form(algorithm, encoding)) }
}

fn encode(signature: &Signature, encoding: Encoding) -> Result<Vec<u8>, Problem> {
    let form = |_| no_form(signature.algorithm, encoding);
    let ecdsa = || EcdsaSignature::from_bytes(&signature.bytes).map_err(form);
    match (encoding, signature.recovery_id) {
        (Encoding::Raw | Encoding::Hex | Encoding::Base64, _) => Ok(signature.bytes.clone()),
        (Encoding::Der, _) => Ok(ecdsa()?.to_der()),
        (Encoding::Rsv, Some(id)) => Ok(ecdsa()?.to_rsv(id).map_err(form)?.to_vec()),
        (Encoding::Rsv, None) => Err(no_form(signature.algorithm, encoding)),
    }
}

fn no_form(algorithm: Algorithm, encoding: Encoding) -> Problem {
    Problem::usage(format!("{algorithm} signatures have no encoding `{}`", encoding.name()))
        .fix("--encoding raw, hex or base64")
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
