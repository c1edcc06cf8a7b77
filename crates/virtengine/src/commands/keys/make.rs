//! Keys that come into being: made here, or taken in.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use kms::access::Permission;
use kms::key::Algorithm;
use kms::key::KeyState;
use kms::key::Label;
use kms::key::Purpose;
use kms_api::Bytes;
use kms_api::GenerateKey;
use kms_api::ImportKey;
use kms_api::KeyView;
use kms_api::RegisterKey;
use kms_api::SecretData;
use kms_api::Unnamed;
use kms_api::parse_private_key;
use kms_formats::private::PRIVATE_KEY_FILE_LIMIT;
use kms_formats::public::PublicKey;
use kms_secret::SecretBytes;

use crate::cli::keys::AddArgs;
use crate::cli::keys::ImportArgs;
use crate::cli::keys::ImportHexArgs;
use crate::cli::keys::NewKeyArgs;
use crate::cli::keys::PrivateForm;
use crate::commands::keys::print;
use crate::commands::multisig;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::progress::spin;
use crate::problem::Problem;
use crate::problem::say;
use crate::problem::warn;
use crate::secrets;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::visit;

/// A public key file has at most so many bytes: an RSA-4096 key as PEM has 800.
const PUBLIC_KEY_FILE_LIMIT: u64 = 16 * 1024;

/// `keys add`.
///
/// # Errors
/// When the key could not be made.
pub(crate) fn add(visit: &Visit<'_>, args: &AddArgs) -> Result<Exit, Problem> {
    if let Some(file) = &args.public_key {
        return register(visit, args, file);
    }
    if !args.multisig.is_empty() {
        return multisig::account(visit, args);
    }
    let NewKeyArgs { purpose, storage, policy, inactive } = args.new.clone();
    let (name, algorithm) = (args.name.clone(), args.algo);
    let new = GenerateKey { name, purpose, algorithm, storage, policy, inactive };
    let algorithm = args.algo.unwrap_or_else(|| args.new.purpose.default_algorithm());
    let would = || Ok(format!("make the {algorithm} key {}", args.name));
    if let Some(exit) = visit.rehearse(Permission::KeyCreate, would)? {
        return Ok(exit);
    }
    let key = spin("making the key", || visit.ask(Unnamed, new.clone()))?;
    enter(visit, &key, &args.new)
}

/// `keys add --public-key`: the private half is elsewhere.
fn register(visit: &Visit<'_>, args: &AddArgs, file: &Path) -> Result<Exit, Problem> {
    let refuse = |e| Problem::io(format!("cannot read {}", file.display()), &e);
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(refuse)?;
    opened.take(PUBLIC_KEY_FILE_LIMIT).read_to_end(&mut bytes).map_err(refuse)?;
    let public_key = PublicKey::from_spki(&bytes).map_err(|e| {
        let mut problem = Problem::usage(format!("{} holds no public key", file.display()));
        problem.code = "key_file_invalid".into();
        problem.because(e.to_string()).fix("a SubjectPublicKeyInfo is wanted, as PEM or DER")
    })?;
    let would = || Ok(format!("register the {} key {}", public_key.algorithm(), args.name));
    if let Some(exit) = visit.rehearse(Permission::KeyCreate, would)? {
        return Ok(exit);
    }
    let (name, purpose, policy) = (args.name.clone(), args.new.purpose, args.new.policy.clone());
    let register = RegisterKey { name, public_key: Bytes(bytes), purpose, policy };
    let key = visit.ask(Unnamed, register)?;
    print(visit, &key)
}

/// `keys import`.
///
/// # Errors
/// When the file holds no such key, or it could not be taken in.
pub(crate) fn import(context: &Context<'_>, args: &ImportArgs) -> Result<Exit, Problem> {
    let stdin = if args.file.as_os_str() == "-" { Stdin::Taken } else { Stdin::Free };
    let format = match args.format {
        PrivateForm::Pkcs8 => kms_api::PrivateForm::Pkcs8,
        PrivateForm::Raw => kms_api::PrivateForm::Raw,
        PrivateForm::Privval => kms_api::PrivateForm::Privval,
    };
    if args.format == PrivateForm::Privval && args.new.purpose != Purpose::Consensus {
        warn(&format!(
            "this validator's key is taken in for the purpose {}: it will never sign blocks here; \
             --purpose consensus makes it a consensus key",
            args.new.purpose
        ));
    }
    let file = secrets::file(&args.file, PRIVATE_KEY_FILE_LIMIT)?;
    let material = Material::of(file, format, args.algo)?;
    visit(context, stdin, |visit| material.take_in(visit, &args.name, &args.new))
}

/// `keys import-hex`.
///
/// # Errors
/// When the hex is no such key, or it could not be taken in.
pub(crate) fn import_hex(context: &Context<'_>, args: &ImportHexArgs) -> Result<Exit, Problem> {
    let (hex, stdin) = match (&args.hex, &args.file) {
        (Some(hex), _) => {
            warn(
                "a private key on the command line can be seen by every user of this machine and \
                 stays in the shell's history: leave it out, it is read from stdin",
            );
            (SecretBytes::copy_from(hex.as_bytes()), Stdin::Free)
        }
        (None, Some(file)) => {
            let stdin = if file.as_os_str() == "-" { Stdin::Taken } else { Stdin::Free };
            (secrets::file(file, PRIVATE_KEY_FILE_LIMIT)?, stdin)
        }
        (None, None) => (secrets::key_line(PRIVATE_KEY_FILE_LIMIT)?, Stdin::Free),
    };
    let material = Material::of(hex, kms_api::PrivateForm::Raw, Some(args.algo))?;
    visit(context, stdin, |visit| material.take_in(visit, &args.name, &args.new))
}

/// A private key file that was read, and can be taken in.
struct Material {
    file: SecretBytes,
    format: kms_api::PrivateForm,
    algorithm: Algorithm,
}

impl Material {
    /// Looks at a file before anyone logs in: what cannot be taken in is said at once.
    fn of(
        file: SecretBytes,
        format: kms_api::PrivateForm,
        algorithm: Option<Algorithm>,
    ) -> Result<Self, Problem> {
        let algorithm = parse_private_key(&file, format, algorithm)?.key.algorithm;
        Ok(Self { file, format, algorithm })
    }

    fn take_in(&self, visit: &Visit<'_>, name: &Label, args: &NewKeyArgs) -> Result<Exit, Problem> {
        let algorithm = self.algorithm;
        let would = || Ok(format!("take in the {algorithm} key {name}"));
        if let Some(exit) = visit.rehearse(Permission::KeyImport, would)? {
            return Ok(exit);
        }
        let NewKeyArgs { purpose, storage, policy, inactive } = args.clone();
        let key = visit.ask(
            Unnamed,
            ImportKey {
                name: name.clone(),
                material: SecretData(SecretBytes::copy_from(self.file.expose())),
                format: self.format,
                algorithm: Some(algorithm),
                purpose,
                storage,
                policy,
                inactive,
            },
        )?;
        warn("copies of this key outside are not guarded: destroy them");
        enter(visit, &key, args)
    }
}

/// Shows the new key, and says so where its policy keeps it from being active at once.
fn enter(visit: &Visit<'_>, key: &KeyView, args: &NewKeyArgs) -> Result<Exit, Problem> {
    if !args.inactive && key.state == KeyState::Created {
        say(&format!("policy {} asks for an approval before {} is used", key.policy, key.name));
    }
    print(visit, key)
}
