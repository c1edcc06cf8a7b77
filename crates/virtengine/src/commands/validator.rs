//! `virtengine validator`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kms::key::KeyRef;
use kms::key::Purpose;
use kms_api::BeginConsensusState;
use kms_api::ConfirmConsensusState;
use kms_api::ConsensusStateView;
use kms_api::HandOverConsensus;
use kms_api::ImportKey;
use kms_api::ListConsensusStates;
use kms_api::PrivateForm;
use kms_api::SecretData;
use kms_api::StopConsensusAt;
use kms_api::Unnamed;
use kms_api::parse_private_key;
use kms_formats::comet::state::STATE_BYTES;
use kms_formats::comet::state::SignState;

use crate::cli::validator::AtHeightArgs;
use crate::cli::validator::ImportArgs;
use crate::cli::validator::ImportStateArgs;
use crate::cli::validator::KeyOnChainArgs;
use crate::cli::validator::OnChainArgs;
use crate::cli::validator::StateCommand;
use crate::cli::validator::ValidatorCommand;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::output::text::Details;
use crate::output::text::Table;
use crate::problem::Problem;
use crate::problem::say;
use crate::secrets;
use crate::secrets::Stdin;
use crate::visit::Visit;
use crate::visit::visit;

/// A key file has at most so many bytes.
const KEY_FILE_LIMIT: usize = 64 << 10;

/// Carries out a `validator` command.
///
/// # Errors
/// When it did not succeed.
pub(crate) fn run(context: &Context<'_>, command: &ValidatorCommand) -> Result<Exit, Problem> {
    visit(context, Stdin::Free, |visit| match command {
        ValidatorCommand::Import(args) => import(visit, args),
        ValidatorCommand::Status | ValidatorCommand::State(StateCommand::List) => list(visit),
        ValidatorCommand::State(StateCommand::Init(args)) => init(visit, args),
        ValidatorCommand::State(StateCommand::Import(args)) => import_state(visit, args),
        ValidatorCommand::State(StateCommand::Export(args)) => export(visit, args),
        ValidatorCommand::State(StateCommand::Confirm(args)) => confirm(visit, args),
        ValidatorCommand::State(StateCommand::StopAt(args)) => {
            let what = StopConsensusAt {
                chain_id: args.why.on.chain_id.clone(),
                height: args.height,
                reason: args.why.reason.clone(),
            };
            show(visit, &visit.ask(args.why.on.key.clone(), what)?)
        }
        ValidatorCommand::HandOver(args) => hand_over(visit, args),
    })
}

fn list(visit: &Visit<'_>) -> Result<Exit, Problem> {
    let states = visit.ask(Unnamed, ListConsensusStates {})?;
    visit.context.data(&states, || {
        let mut table =
            Table::new(&["KEY", "CHAIN", "HEIGHT", "ROUND", "STEP", "SIGNS", "WHY NOT"]);
        for state in &states {
            let trouble = state.trouble.clone().unwrap_or_default();
            table.row([
                state.key_id.to_string(),
                state.chain_id.to_string(),
                state.height.to_string(),
                round(state),
                state.step.to_string(),
                if state.usable { "yes" } else { "no" }.to_owned(),
                if state.handed_over { "handed over".to_owned() } else { trouble },
            ]);
        }
        table.render_or("no states; begin one: virtengine validator state init")
    })?;
    Ok(Exit::Ok)
}

fn show(visit: &Visit<'_>, state: &ConsensusStateView) -> Result<Exit, Problem> {
    visit.context.data(state, || {
        Details::default()
            .add("key", state.key_id)
            .add("chain", &state.chain_id)
            .add("height", state.height)
            .add("round", round(state))
            .add("step", state.step)
            .maybe("signs nothing from", state.stop_at)
            .add("signs here", state.usable)
            .render()
    })?;
    Ok(Exit::Ok)
}

/// A floor at the end of a height has no round of its own.
fn round(state: &ConsensusStateView) -> String {
    if state.round == i32::MAX { "all".to_owned() } else { state.round.to_string() }
}

fn init(visit: &Visit<'_>, args: &AtHeightArgs) -> Result<Exit, Problem> {
    let what = BeginConsensusState {
        chain_id: args.why.on.chain_id.clone(),
        height: args.height,
        round: None,
        step: None,
        sign_bytes: None,
        signature: None,
        reason: args.why.reason.clone(),
    };
    show(visit, &visit.ask(args.why.on.key.clone(), what)?)
}

fn confirm(visit: &Visit<'_>, args: &AtHeightArgs) -> Result<Exit, Problem> {
    let what = ConfirmConsensusState {
        chain_id: args.why.on.chain_id.clone(),
        height: args.height,
        reason: args.why.reason.clone(),
    };
    show(visit, &visit.ask(args.why.on.key.clone(), what)?)
}

fn import_state(visit: &Visit<'_>, args: &ImportStateArgs) -> Result<Exit, Problem> {
    let state = begun(&read_state(&args.file)?, &args.why);
    show(visit, &visit.ask(args.why.on.key.clone(), state)?)
}

/// The key, then its state, without which it signs nothing. What was cut off between the two goes on
/// where it was.
fn import(visit: &Visit<'_>, args: &ImportArgs) -> Result<Exit, Problem> {
    let state = read_state(&args.state_file)?; // before anything is made
    let file = secrets::file(&args.key_file, KEY_FILE_LIMIT)?;
    let parsed = parse_private_key(&file, PrivateForm::Privval, None)?;
    let public_key = parsed.claimed_public.map(|key| STANDARD.encode(key.as_bytes()));
    let there = visit.key(&KeyRef::Label(args.name.clone())).ok();
    let key = match there.filter(|key| Some(&key.public_key) == public_key.as_ref()) {
        Some(key) => key,
        None => visit.ask(
            Unnamed,
            ImportKey {
                name: args.name.clone(),
                material: SecretData(file),
                format: PrivateForm::Privval,
                algorithm: None,
                purpose: Purpose::Consensus,
                storage: args.storage.clone(),
                policy: None,
                inactive: false,
            },
        )?,
    };
    let on = KeyOnChainArgs { key: KeyRef::Id(key.id), chain_id: args.chain_id.clone() };
    let why = OnChainArgs { on, reason: args.reason.clone() };
    let state = visit.ask(why.on.key.clone(), begun(&state, &why))?;
    say("make sure that no other signer uses this key from now on, and destroy its copies");
    show(visit, &state)
}

fn begun(state: &SignState, why: &OnChainArgs) -> BeginConsensusState {
    let (sign_bytes, signature) = state.last.clone().unzip();
    BeginConsensusState {
        chain_id: why.on.chain_id.clone(),
        height: state.height,
        round: Some(state.round),
        step: Some(state.step),
        sign_bytes: sign_bytes.map(hex::encode),
        signature: signature.map(hex::encode),
        reason: why.reason.clone(),
    }
}

fn export(visit: &Visit<'_>, args: &KeyOnChainArgs) -> Result<Exit, Problem> {
    let key = visit.key(&args.key)?;
    let states = visit.ask(Unnamed, ListConsensusStates {})?;
    let found = states.into_iter().find(|s| s.key_id == key.id && s.chain_id == args.chain_id);
    let state = found.ok_or_else(|| {
        let what = format!("key {} has no state on chain {}", args.key, args.chain_id);
        Problem::new(Exit::NotFound, "state_missing", what)
    })?;
    say("the key goes on signing here: never give this state to a second signer that runs");
    print(&state)
}

fn hand_over(visit: &Visit<'_>, args: &OnChainArgs) -> Result<Exit, Problem> {
    let what =
        HandOverConsensus { chain_id: args.on.chain_id.clone(), reason: args.reason.clone() };
    let state = visit.ask(args.on.key.clone(), what)?;
    say("the key signs no more on this chain here; the other signer begins at what is printed");
    print(&state)
}

/// CometBFT's own file, whatever `-o` says: it is read by another signer.
fn print(state: &ConsensusStateView) -> Result<Exit, Problem> {
    let decoded = |text: &Option<String>| text.as_deref().and_then(|text| hex::decode(text).ok());
    let file = SignState {
        height: state.height,
        round: state.round,
        step: state.step,
        last: decoded(&state.sign_bytes).zip(decoded(&state.signature)),
    };
    output::bytes(file.to_comet_json().as_bytes())?;
    Ok(Exit::Ok)
}

fn read_state(path: &Path) -> Result<SignState, Problem> {
    let name = path.display();
    let fault = |e| Problem::io(format!("cannot read {name}"), &e);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fault)?;
    file.take(STATE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(fault)?;
    SignState::parse(&bytes).map_err(|why| {
        Problem::new(Exit::Usage, "state_invalid", format!("{name} is no signer's state"))
            .because(why.to_string())
            .fix("without one, say the height yourself: virtengine validator state init")
    })
}
