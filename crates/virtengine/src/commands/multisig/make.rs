//! `multisig create`: signers as people write them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms::access::Permission;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::Label;
use kms::key::PublicKey;
use kms::multisig::Weight;
use kms::time::Timestamp;
use kms_api::Bytes;
use kms_api::CreateMultiSigKey;
use kms_api::ExportPublicKey;
use kms_api::Unnamed;
use kms_api::WantedSigner;

use crate::cli::keys::AddArgs;
use crate::cli::multisig::CreateArgs;
use crate::cli::multisig::FormName;
use crate::commands::multisig::shown;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::problem::warn;
use crate::visit::Visit;

/// A public key file has at most so many bytes.
const KEY_FILE_LIMIT: u64 = 16 * 1024;
/// How long an operation waits where nobody says otherwise: a day.
const DEFAULT_TIMEOUT_S: u64 = 24 * 3600;

/// `multisig create`.
///
/// # Errors
/// When a signer is not understood, or the key is refused.
pub(crate) fn create(visit: &Visit<'_>, args: &CreateArgs) -> Result<Exit, Problem> {
    let wanted = wanted(visit, args)?;
    let would =
        || Ok(format!("make the multisig key {} of {} signers", args.name, args.signers.len()));
    if let Some(exit) = visit.rehearse(Permission::MultisigManage, would)? {
        return Ok(exit);
    }
    let key = visit.ask(Unnamed, wanted)?;
    let weights = key.signers.iter().map(|signer| u64::from(signer.weight));
    let (sum, greatest) = (weights.clone().sum::<u64>(), weights.max().unwrap_or(0));
    if sum.saturating_sub(greatest) < key.threshold && key.signers.len() > 1 {
        warn("without one of its signers this key can do nothing: it has no one to spare");
    }
    visit.context.data(&key, || shown::key(&key))?;
    Ok(Exit::Ok)
}

/// `keys add NAME --multisig`, as Cosmos SDK's command: a Cosmos account of keys of this home.
///
/// # Errors
/// When a key is not here, or the account is refused.
pub(crate) fn account(visit: &Visit<'_>, args: &AddArgs) -> Result<Exit, Problem> {
    let mut signers = Vec::new();
    for named in &args.multisig {
        let public_key = exported(visit, named)?;
        let label = visit.key(named)?.name;
        let label = label.parse().map_err(|_| unclear(&label))?;
        signers.push(plain_signer(label, &public_key));
    }
    let would = || Ok(format!("make the account {} of {} keys", args.name, signers.len()));
    if let Some(exit) = visit.rehearse(Permission::MultisigManage, would)? {
        return Ok(exit);
    }
    let description = args.name.as_str().parse();
    let description = description.map_err(|_| Problem::usage("the name is no description"))?;
    let wanted = CreateMultiSigKey {
        name: args.name.clone(),
        description,
        cosmos: true,
        unsorted: args.nosort,
        threshold: args.multisig_threshold,
        timeout_s: DEFAULT_TIMEOUT_S,
        allow_partial: false,
        ordered: false,
        signers,
    };
    let key = visit.ask(Unnamed, wanted)?;
    visit.context.data(&key, || shown::key(&key))?;
    Ok(Exit::Ok)
}

fn wanted(visit: &Visit<'_>, args: &CreateArgs) -> Result<CreateMultiSigKey, Problem> {
    let mut signers = Vec::new();
    for (at, text) in args.signers.iter().enumerate() {
        let mut signer = signer(visit, text)?;
        signer.order = if args.ordered { u32::try_from(at + 1).ok() } else { None };
        signers.push(signer);
    }
    for text in &args.owners {
        let (signer, owner) = named(&mut signers, text)?;
        signer.owner = Some(owner.to_owned());
    }
    for text in &args.expires {
        let (signer, at) = named(&mut signers, text)?;
        let at = at.parse::<Timestamp>().map_err(|e| Problem::usage(e.to_string()))?;
        signer.expires_at = Some(at);
    }
    let description = match &args.description {
        Some(description) => description.clone(),
        None => {
            args.name.as_str().parse().map_err(|_| Problem::usage("--description is needed"))?
        }
    };
    Ok(CreateMultiSigKey {
        name: args.name.clone(),
        description,
        cosmos: matches!(args.form, FormName::Cosmos),
        unsorted: args.nosort,
        threshold: args.threshold,
        timeout_s: args.timeout,
        allow_partial: args.allow_partial,
        ordered: args.ordered,
        signers,
    })
}

/// A signer who weighs one, for ever.
fn plain_signer(label: Label, key: &PublicKey) -> WantedSigner {
    WantedSigner {
        label,
        algorithm: key.algorithm(),
        public_key: Bytes(key.as_bytes().to_vec()),
        weight: 1,
        expires_at: None,
        order: None,
        owner: None,
    }
}

/// The public half of a key of this home.
fn exported(visit: &Visit<'_>, key: &KeyRef) -> Result<PublicKey, Problem> {
    let public = visit.ask(key.clone(), ExportPublicKey {})?;
    of(public.algorithm, &public.public_key.0).ok_or_else(|| unknown(&key.to_string()))
}

/// `LABEL=PUBKEY[:WEIGHT]`.
fn signer(visit: &Visit<'_>, text: &str) -> Result<WantedSigner, Problem> {
    let (label, rest) = text.split_once('=').ok_or_else(|| unclear(text))?;
    let label: Label =
        label.parse().map_err(|e| Problem::usage(format!("signer `{text}`: {e}")))?;
    let weighted = rest.rsplit_once(':').and_then(|(key, weight)| {
        let digits = !weight.is_empty() && weight.bytes().all(|byte| byte.is_ascii_digit());
        // `ed25519:00…` is a key whose digits may all be decimal; a weight has at most seven.
        (digits && weight.len() <= 7).then_some((key, weight))
    });
    let (key, weight) = match weighted {
        Some((key, weight)) => (key, weight.parse().map_err(|_| unclear(text))?),
        None => (rest, 1),
    };
    let weight = Weight::new(weight).map_err(|e| Problem::usage(e.to_string()))?.get();
    Ok(WantedSigner { weight, ..plain_signer(label, &public_key(visit, key)?) })
}

/// The signer that `LABEL=VALUE` names, and the value.
fn named<'s, 't>(
    signers: &'s mut [WantedSigner],
    text: &'t str,
) -> Result<(&'s mut WantedSigner, &'t str), Problem> {
    let (label, value) = text.split_once('=').ok_or_else(|| unclear(text))?;
    let found = signers.iter_mut().find(|signer| signer.label.as_str().eq_ignore_ascii_case(label));
    let unknown = || Problem::usage(format!("no signer is called `{label}`"));
    Ok((found.ok_or_else(unknown)?, value))
}

fn unclear(text: &str) -> Problem {
    Problem::usage(format!("`{text}` is not LABEL=PUBKEY[:WEIGHT]"))
}

/// A public key as people have it: PEM, a file, `ALGORITHM:HEX`, Cosmos JSON, hex, base64, or the
/// name of a key of this home.
///
/// # Errors
/// When it is none of these, or could be of two algorithms.
pub(crate) fn public_key(visit: &Visit<'_>, text: &str) -> Result<PublicKey, Problem> {
    if text.starts_with("-----BEGIN") {
        return spki(text.as_bytes());
    }
    if let Some((algorithm, rest)) = text.split_once(':')
        && let Ok(algorithm) = algorithm.parse::<Algorithm>()
    {
        let bytes = bytes(rest).ok_or_else(|| unknown(text))?;
        return of(algorithm, &bytes).ok_or_else(|| unknown(text));
    }
    if text.starts_with('{') {
        return cosmos(text).ok_or_else(|| unknown(text));
    }
    if Path::new(text).is_file() {
        let unreadable = |e| Problem::io(format!("cannot read {text}"), &e);
        let (mut content, file) = (Vec::new(), File::open(text).map_err(unreadable)?);
        file.take(KEY_FILE_LIMIT).read_to_end(&mut content).map_err(unreadable)?;
        return spki(&content);
    }
    // Digits of a key before a name, which no sensible one looks like; a name before base64.
    let digits = hex::decode(text.trim_start_matches("0x")).ok();
    if let Some(key) = digits.and_then(|bytes| guessed(&bytes).transpose()) {
        return key.map_err(|problem| problem.because(text.to_owned()));
    }
    if let Ok(named) = text.parse()
        && let Ok(key) = exported(visit, &named)
    {
        return Ok(key);
    }
    let bytes = STANDARD.decode(text.trim()).map_err(|_| unknown(text))?;
    guessed(&bytes)?.ok_or_else(|| unknown(text))
}

/// The key that bytes are of whatever algorithm; nothing where they are none.
fn guessed(bytes: &[u8]) -> Result<Option<PublicKey>, Problem> {
    if let Ok(key) = PublicKey::from_spki(bytes) {
        return Ok(Some(key));
    }
    let mut fitting = Algorithm::ALL.iter().filter_map(|algorithm| of(*algorithm, bytes));
    match (fitting.next(), fitting.next()) {
        (_, Some(_)) => {
            let problem = Problem::usage("this public key could be of two algorithms");
            Err(problem.fix("say which: secp256k1:HEX or p256:HEX"))
        }
        (found, None) => Ok(found),
    }
}

fn of(algorithm: Algorithm, bytes: &[u8]) -> Option<PublicKey> {
    PublicKey::validated(algorithm, bytes).ok()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let hex = hex::decode(text.trim_start_matches("0x")).ok();
    hex.or_else(|| STANDARD.decode(text).ok())
}

fn spki(content: &[u8]) -> Result<PublicKey, Problem> {
    PublicKey::from_spki(content).map_err(|e| Problem::usage(e.to_string()))
}

/// The JSON of the protobuf `Any` that Cosmos SDK's commands print.
fn cosmos(text: &str) -> Option<PublicKey> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let algorithm = match value.get("@type")?.as_str()? {
        "/cosmos.crypto.ed25519.PubKey" => Algorithm::Ed25519,
        "/cosmos.crypto.secp256k1.PubKey" => Algorithm::Secp256k1,
        "/cosmos.crypto.secp256r1.PubKey" => Algorithm::P256,
        _ => return None,
    };
    of(algorithm, &STANDARD.decode(value.get("key")?.as_str()?).ok()?)
}

fn unknown(text: &str) -> Problem {
    let shown: String = text.chars().take(80).collect();
    Problem::usage(format!("`{shown}` is no public key"))
        .because("it is no file, no ALGORITHM:HEX, no hex or base64, and no key of this home")
        .fix("LABEL=FILE.pem, LABEL=ed25519:HEX or LABEL=NAME")
}
