//! `virtengine dev`: the product at work in a throw-away home. Nothing is played: every line comes
//! from the same calls every other command makes, and a step that does not come out as it must
//! ends the command with exit 1.

mod damage;
mod home;
mod serve;
mod show;

use kms::access::PrincipalName;
use kms::audit::VerifyOptions;
use kms::audit::verify_files;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::Label;
use kms::key::ManagedKey;
use kms::key::Purpose;
use kms::key::Reason;
use kms::key::Scheme;
use kms::manager::Caller;
use kms::manager::Error;
use kms::manager::KeyManager;
use kms::manager::NewKey;

use crate::cli::global::Global;
use crate::cli::system::DevArgs;
use crate::commands::dev::home::ThrowAway;
use crate::commands::dev::show::Show;
use crate::exit::Exit;
use crate::output::progress::spin;
use crate::problem::Problem;
use crate::visit::at_terminal;

/// What is signed in the demonstration.
const MESSAGE: &[u8] = b"hello from virtengine dev";

/// Makes the home, shows the product at work in it, and leaves it for the person to try.
///
/// # Errors
/// When a step did not come out as it must.
pub(crate) fn run(global: &Global, args: &DevArgs) -> Result<Exit, Problem> {
    let mut show = Show::new(global.output.unwrap_or_default());
    let throw_away = home::make(&mut show)?;
    let admin: PrincipalName = name(home::ADMIN)?;
    let kms = KeyManager::open(throw_away.options())?;
    let caller = kms.login(throw_away.login(&admin))?;
    let tour = Tour { kms: &kms, caller: &caller };
    let toured = tour.walk(&mut show);
    kms.logout(caller)?;
    kms.close()?;
    toured?;
    the_log(&throw_away, &mut show)?;
    show.end(&throw_away)?;
    if args.serve || at_terminal() {
        serve::run(&throw_away, &admin, global.output.unwrap_or_default())?;
    }
    Ok(Exit::Ok)
}

struct Tour<'a> {
    kms: &'a KeyManager,
    caller: &'a Caller,
}

impl Tour<'_> {
    fn walk(&self, show: &mut Show) -> Result<(), Problem> {
        show.title("One key per purpose");
        for purpose in Purpose::ALL {
            let key = self.add(purpose.name(), purpose, None)?;
            show.step(&format!("{purpose} key"), &described(&key))?;
        }
        self.consensus(show)?;
        show.title("Every algorithm makes a key, signs, and verifies");
        for algorithm in Algorithm::ALL {
            self.algorithm(algorithm, show)?;
        }
        show.title("A life");
        self.rotation(show)?;
        self.suspension(show)
    }

    fn add(
        &self,
        label: &str,
        purpose: Purpose,
        algorithm: Option<Algorithm>,
    ) -> Result<ManagedKey, Problem> {
        let label: Label = name(label)?;
        let new =
            NewKey { purpose, algorithm, storage: name("file")?, policy: None, activate: true };
        Ok(spin("making a key", || self.kms.generate_key(self.caller, &label, new))?)
    }

    /// A consensus key signs votes through the double-sign guard, and plain messages never.
    fn consensus(&self, show: &mut Show) -> Result<(), Problem> {
        let key: KeyRef = name(Purpose::Consensus.name())?;
        let signed = self.kms.sign(self.caller, &key, MESSAGE, Scheme::default());
        show.step("consensus key asked to sign a plain message", &refused(signed.map(|_| ()))?)
    }

    fn algorithm(&self, algorithm: Algorithm, show: &mut Show) -> Result<(), Problem> {
        let key = self.add(&format!("{algorithm} key"), Purpose::General, Some(algorithm))?;
        let (key, scheme) = (KeyRef::Id(key.id), Scheme::default());
        let signed = self.kms.sign(self.caller, &key, MESSAGE, scheme)?;
        let bytes = &signed.signature.bytes;
        let valid = self.kms.verify(self.caller, &key, MESSAGE, bytes, scheme)?;
        let other = self.kms.verify(self.caller, &key, b"another message", bytes, scheme)?;
        must(valid && !other, "a signature verifies for its message and no other")?;
        let start = hex::encode(bytes.get(..8).unwrap_or(bytes));
        let detail = format!("{} bytes {start}…, verified; another message refused", bytes.len());
        show.step(algorithm.name(), &detail)
    }

    fn rotation(&self, show: &mut Show) -> Result<(), Problem> {
        let key: KeyRef = name(Purpose::General.name())?;
        let old = self.kms.get_key(self.caller, &key)?;
        let new = self.kms.rotate_key(self.caller, &key, &reason("dev: rotation")?)?;
        let now = self.kms.get_key(self.caller, &key)?;
        must(now.id == new.id && now.id != old.id, "a label follows its rotation")?;
        show.step("general rotated", &format!("{} → {}; the name follows", old.id, new.id))?;
        let lifecycle = self.kms.lifecycle(self.caller);
        let done = lifecycle.complete_rotation(&KeyRef::Id(old.id), &reason("dev: rotation")?)?;
        show.step("rotation completed", &format!("the old key is {}", done.state))?;
        let signed = self.kms.sign(self.caller, &KeyRef::Id(old.id), MESSAGE, Scheme::default());
        show.step("old key asked to sign", &refused(signed.map(|_| ()))?)
    }

    fn suspension(&self, show: &mut Show) -> Result<(), Problem> {
        let key: KeyRef = name(Purpose::Provider.name())?;
        let lifecycle = self.kms.lifecycle(self.caller);
        let suspended = lifecycle.suspend_key(&key, &reason("dev: suspension")?)?;
        show.step("provider key suspended", &format!("it is {}", suspended.state))?;
        let signed = self.kms.sign(self.caller, &key, MESSAGE, Scheme::default());
        show.step("suspended key asked to sign", &refused(signed.map(|_| ()))?)
    }
}

/// The log is verified; then one byte of a copy is changed, and the change must be found.
fn the_log(home: &ThrowAway, show: &mut Show) -> Result<(), Problem> {
    show.title("The audit log");
    let options = VerifyOptions::default();
    let verified = verify_files(&home.audit(), &options).map_err(Error::from)?;
    must(verified.valid, "the log verifies")?;
    let (records, checkpoints) = (verified.records, verified.checkpoints);
    show.step("verified", &format!("{records} records, {checkpoints} checkpoints, all in order"))?;
    let damaged = damage::one_byte_of_a_copy(&home.audit(), &home.copy())?;
    show.step("one byte of a copy changed", &damaged)?;
    let verified = verify_files(&home.copy(), &options).map_err(Error::from)?;
    let found = verified.errors.first().filter(|_| !verified.valid);
    must(found.is_some(), "one changed byte is found")?;
    let found = found.map(|e| format!("{}:{}: {}: {}", e.file, e.line, e.kind, e.detail));
    show.step("copy verified", &format!("NOT valid: {}", found.unwrap_or_default()))
}

fn described(key: &ManagedKey) -> String {
    format!("{}, {}, {}", key.algorithm(), key.state, key.id)
}

/// What a refusal said; that nothing was refused is a failure.
fn refused(outcome: Result<(), Error>) -> Result<String, Problem> {
    match outcome {
        Err(error @ Error::Refused(_)) => Ok(format!("refused [{}]: {error}", error.code())),
        Err(fault @ Error::Fault(_)) => Err(fault.into()),
        Ok(()) => Err(wrong("a use that must be refused is refused")),
    }
}

fn must(holds: bool, rule: &str) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err(wrong(rule)) }
}

fn wrong(rule: &str) -> Problem {
    Problem::new(Exit::Other, "dev_failed", "the demonstration did not come out as it must")
        .because(format!("this did not hold: {rule}"))
}

fn reason(text: &str) -> Result<Reason, Problem> {
    name(text)
}

/// Reads one of the names above.
fn name<T: std::str::FromStr<Err: std::error::Error>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|e: T::Err| Problem::usage(format!("`{text}` is no name: {e}")))
}
