//! `virtengine validator` and `virtengine comet`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use kms::key::KeyRef;
use kms::key::Label;
use kms::key::Reason;
use kms::key::StorageName;
use kms_formats::comet::ChainId;

/// The remote signer of a CometBFT validator; it runs with the daemon.
#[derive(Debug, Subcommand)]
pub(crate) enum ValidatorCommand {
    /// Take in another signer's key and what it signed last, in one step
    Import(ImportArgs),
    /// Show what consensus keys signed last, and whether they sign
    Status,
    /// What a key signed last on a chain
    #[command(subcommand)]
    State(StateCommand),
    /// Hand a key over to another signer: it signs no more here, and its state is printed
    HandOver(OnChainArgs),
}

/// What a key signed last on a chain.
#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// List all states
    List,
    /// Begin a state, once: nothing up to the height is ever signed here
    Init(AtHeightArgs),
    /// Begin a state from another signer's file
    Import(ImportStateArgs),
    /// Print a state as CometBFT's priv_validator_state.json; the key goes on signing here
    Export(KeyOnChainArgs),
    /// Confirm a state that was copied, put back or handed over
    Confirm(AtHeightArgs),
    /// Sign nothing from a height on, for a planned hand-over; without a height, sign on
    StopAt(StopAtArgs),
}

/// A key on a chain.
#[derive(Debug, Args)]
pub(crate) struct KeyOnChainArgs {
    /// The key: label or id
    pub(crate) key: KeyRef,
    /// The chain
    #[arg(long, value_name = "ID")]
    pub(crate) chain_id: ChainId,
}

/// A key on a chain, and why.
#[derive(Debug, Args)]
pub(crate) struct OnChainArgs {
    /// The key and the chain
    #[command(flatten)]
    pub(crate) on: KeyOnChainArgs,
    /// Why; goes on record
    #[arg(long)]
    pub(crate) reason: Reason,
}

/// A key on a chain at a height.
#[derive(Debug, Args)]
pub(crate) struct AtHeightArgs {
    /// The key, the chain and why
    #[command(flatten)]
    pub(crate) why: OnChainArgs,
    /// Nothing at this height or before it is signed; 0 for a key that never signed
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) height: i64,
}

/// `validator state stop-at`.
#[derive(Debug, Args)]
pub(crate) struct StopAtArgs {
    /// The key, the chain and why
    #[command(flatten)]
    pub(crate) why: OnChainArgs,
    /// The first height that is not signed
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) height: Option<i64>,
}

/// `validator state import`.
#[derive(Debug, Args)]
pub(crate) struct ImportStateArgs {
    /// The key, the chain and why
    #[command(flatten)]
    pub(crate) why: OnChainArgs,
    /// The state: priv_validator_state.json of CometBFT, or that of TMKMS or Horcrux
    pub(crate) file: PathBuf,
}

/// `validator import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The label it will have
    pub(crate) name: Label,
    /// The key: CometBFT's priv_validator_key.json
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: PathBuf,
    /// What it signed last: priv_validator_state.json, or the state of TMKMS or Horcrux
    #[arg(long, value_name = "FILE")]
    pub(crate) state_file: PathBuf,
    /// The chain
    #[arg(long, value_name = "ID")]
    pub(crate) chain_id: ChainId,
    /// Where it will live: file or hsm:NAME
    #[arg(long, value_name = "STORAGE", default_value = "file")]
    pub(crate) storage: StorageName,
    /// Why; goes on record
    #[arg(long)]
    pub(crate) reason: Reason,
}

/// CometBFT's own questions about a validator, answered for a key of this home.
#[derive(Debug, Subcommand)]
#[expect(clippy::enum_variant_names, reason = "they are called as CometBFT calls them")]
pub(crate) enum CometCommand {
    /// Print the public key as `create-validator --pubkey` takes it
    ShowValidator(ShowArgs),
    /// Print the consensus address
    ShowAddress(ShowArgs),
    /// Print the id that a validator connection of the configuration shows its node
    ShowNodeId(ShowNodeIdArgs),
}

/// Which consensus key.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The key: label or id; not needed where there is one active consensus key
    #[arg(long)]
    pub(crate) key: Option<KeyRef>,
}

/// Which connection.
#[derive(Debug, Args)]
pub(crate) struct ShowNodeIdArgs {
    /// The name of the connection; not needed where there is one
    #[arg(long)]
    pub(crate) connection: Option<String>,
}
