//! Multi-signature keys, their operations, and the rules that make the product's own operations wait
//! for them.

use std::collections::BTreeSet;

use kms::access::Permission;
use kms::access::Scope;
use kms::key::Algorithm;
use kms::key::KeyRef;
use kms::key::Label;
use kms::key::PublicKey;
use kms::key::Reason;
use kms::manager::NewRule;
use kms::multisig::ActKind;
use kms::multisig::ApprovalRule;
use kms::multisig::AuthorizedSigner;
use kms::multisig::Form;
use kms::multisig::MultiSigConfig;
use kms::multisig::NewMultiSigKey;
use kms::multisig::OperationId;
use kms::multisig::SignerRef;
use kms::multisig::Weight;
use kms::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Bytes;
use crate::CompletedView;
use crate::Desk;
use crate::Effect;
use crate::Failure;
use crate::Method;
use crate::MultiSigKeyView;
use crate::MultiSigOperationView;
use crate::Operation;
use crate::Unnamed;
use crate::multisig_view::listed;
use crate::operation::RuleName;
use crate::principals::ScopeShape;
use crate::schema::ActName;
use crate::schema::AlgorithmName;
use crate::schema::KeyRefText;
use crate::schema::LabelText;
use crate::schema::Moment;
use crate::schema::PrincipalIdText;
use crate::schema::ReasonText;

/// A multi-signature key: its label or its id.
pub type MultiSigName = String;

/// A signer that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedSigner {
    /// What people call them.
    #[schema(value_type = LabelText)]
    pub label: Label,
    /// The algorithm of their key.
    #[schema(value_type = AlgorithmName)]
    pub algorithm: Algorithm,
    /// The bytes of their key, base64.
    pub public_key: Bytes,
    /// How much they count: 1 or more.
    #[serde(default = "one")]
    #[schema(minimum = 1, required = false)]
    pub weight: u32,
    /// Until when they count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Moment>)]
    pub expires_at: Option<Timestamp>,
    /// Their place, where signers sign in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
    /// The principal whose key it is: name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PrincipalIdText>)]
    pub owner: Option<String>,
}

fn one() -> u32 {
    1
}

impl WantedSigner {
    fn signer(self) -> Result<AuthorizedSigner, Failure> {
        let invalid =
            |why: &dyn std::fmt::Display| Failure::usage(format!("signer {}: {why}", self.label));
        let public_key = PublicKey::validated(self.algorithm, &self.public_key.0);
        let public_key = public_key.map_err(|why| invalid(&why))?;
        let weight = Weight::new(self.weight).map_err(|why| invalid(&why))?;
        let Self { label, expires_at, order, owner, .. } = self;
        Ok(AuthorizedSigner { label, public_key, weight, expires_at, order, owner })
    }
}

/// Makes a multi-signature key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMultiSigKey {
    /// What people will call it.
    #[schema(value_type = LabelText)]
    pub name: Label,
    /// What it is for.
    #[schema(value_type = ReasonText)]
    pub description: Reason,
    /// Whether it is a Cosmos account; else its signatures are evidence of approvals.
    #[serde(default)]
    pub cosmos: bool,
    /// Whether the members of an account stand in the order they are given in; else in that of their
    /// addresses.
    #[serde(default)]
    pub unsorted: bool,
    /// The weight that is needed.
    #[schema(minimum = 1)]
    pub threshold: u64,
    /// How long an operation waits, in seconds.
    #[schema(minimum = 1)]
    pub timeout_s: u64,
    /// Whether signatures can be read before enough have signed.
    #[serde(default)]
    pub allow_partial: bool,
    /// Whether signers sign in order.
    #[serde(default)]
    pub ordered: bool,
    /// Who may sign.
    #[schema(max_items = 256)]
    pub signers: Vec<WantedSigner>,
}

impl Operation for CreateMultiSigKey {
    type On = Unnamed;
    type Answer = MultiSigKeyView;
    const NAME: &'static str = "multisig.create";
    const ABOUT: &'static str = "Make a multi-signature key";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/multisig/keys";
    const NEEDS: Option<Permission> = Some(Permission::MultisigManage);
    const EFFECT: Effect = Effect::Creates;

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let signers = self.signers.into_iter().map(WantedSigner::signer);
        let signers = signers.collect::<Result<Vec<_>, Failure>>()?;
        let config = MultiSigConfig {
            threshold: self.threshold,
            total_signers: u32::try_from(signers.len()).unwrap_or(u32::MAX),
            timeout_s: self.timeout_s,
            allow_partial_sig: self.allow_partial,
            require_ordered: self.ordered,
        };
        let form =
            if self.cosmos { Form::Cosmos { sorted: !self.unsorted } } else { Form::Approval };
        let (label, description) = (self.name, self.description);
        let wanted = NewMultiSigKey { label, description, form, config, signers };
        let key = desk.kms.multisig(desk.caller).create_multisig_key(wanted)?;
        Ok(MultiSigKeyView::of(&key))
    }
}

/// Lists the multi-signature keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListMultiSigKeys {}

impl Operation for ListMultiSigKeys {
    type On = Unnamed;
    type Answer = Vec<MultiSigKeyView>;
    const NAME: &'static str = "multisig.keys";
    const ABOUT: &'static str = "List the multi-signature keys";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/multisig/keys";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let keys = desk.kms.multisig(desk.caller).list_multisig_keys()?;
        Ok(keys.iter().map(MultiSigKeyView::of).collect())
    }
}

/// Shows a multi-signature key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowMultiSigKey {}

impl Operation for ShowMultiSigKey {
    type On = MultiSigName;
    type Answer = MultiSigKeyView;
    const NAME: &'static str = "multisig.key";
    const ABOUT: &'static str = "Show a multi-signature key";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/multisig/keys/{multisig}";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, key: MultiSigName, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        Ok(MultiSigKeyView::of(&desk.kms.multisig(desk.caller).get_multisig_key(&key)?))
    }
}

/// Asks the signers of a key for signatures over a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InitiateOperation {
    /// The message, base64.
    pub message: Bytes,
    /// What signers are told.
    #[schema(value_type = ReasonText)]
    pub description: Reason,
}

impl Operation for InitiateOperation {
    type On = MultiSigName;
    type Answer = MultiSigOperationView;
    const NAME: &'static str = "multisig.initiate";
    const ABOUT: &'static str = "Ask the signers of a key for signatures over a message";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/multisig/keys/{multisig}/operations";
    const NEEDS: Option<Permission> = Some(Permission::MultisigInitiate);
    const EFFECT: Effect = Effect::Creates;

    fn carry_out(self, key: MultiSigName, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let multisig = desk.kms.multisig(desk.caller);
        let begun = multisig.initiate_operation(&key, &self.message.0, self.description)?;
        Ok(MultiSigOperationView::of(&multisig.get_operation(begun.id)?))
    }
}

/// Lists operations, the open ones or all, a page at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListOperations {
    /// Also those that have ended.
    #[serde(default)]
    pub all: bool,
    /// Where the last page ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub after: String,
    /// At most so many; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// A page of operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationPage {
    /// The operations, without their messages.
    pub operations: Vec<MultiSigOperationView>,
    /// Where the next page begins; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Operation for ListOperations {
    type On = Unnamed;
    type Answer = OperationPage;
    const NAME: &'static str = "multisig.operations";
    const ABOUT: &'static str = "List operations";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/multisig/operations";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let multisig = desk.kms.multisig(desk.caller);
        let limit = self.limit.unwrap_or(100);
        let page = multisig.list_operations(!self.all, &self.after, limit)?;
        let operations = page.operations.iter().map(listed).collect();
        Ok(OperationPage { operations, next: page.next })
    }

    fn next(answer: &OperationPage) -> Option<String> {
        answer.next.clone()
    }
}

/// Operations on an operation, which carry what they say and answer the operation.
macro_rules! on_operation {
    ($($(#[$about:meta])* $name:ident: $word:literal, $method:ident $route:literal, $needs:ident,
       $about_line:literal { $($(#[$field:meta])* $member:ident: $type:ty,)* } $call:expr;)+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field])* pub $member: $type,)* }

        impl Operation for $name {
            type On = OperationId;
            type Answer = MultiSigOperationView;
            const NAME: &'static str = concat!("multisig.", $word);
            const ABOUT: &'static str = $about_line;
            const METHOD: Method = Method::$method;
            const ROUTE: &'static str = concat!("/v1/multisig/operations/{operation}", $route);
            const NEEDS: Option<Permission> = Some(Permission::$needs);

            fn carry_out(
                self,
                operation: OperationId,
                desk: &Desk<'_>,
            ) -> Result<Self::Answer, Failure> {
                let call: fn(Self, OperationId, &Desk<'_>) -> Result<Self::Answer, Failure> = $call;
                call(self, operation, desk)
            }
        }
    )+};
}

on_operation! {
    /// Shows an operation, with all that a signer should see.
    ShowOperation: "operation", Get "", KeyRead,
        "Show an operation, with all that a signer should see" {}
        |_, operation, desk| {
            let view = desk.kms.multisig(desk.caller).get_operation(operation)?;
            Ok(MultiSigOperationView::of(&view))
        };
    /// Signs an operation with a key of this home.
    SignOperation: "sign", Post "/sign", MultisigSign,
        "Sign an operation with a key of this home" {
            /// The key: label or id.
            #[schema(value_type = KeyRefText)]
            key: KeyRef,
        }
        |what, operation, desk| {
            let view = desk.kms.multisig(desk.caller).sign(operation, &what.key)?;
            Ok(MultiSigOperationView::of(&view))
        };
    /// Adds a signature that was made elsewhere.
    AddSignature: "add_signature", Post "/signatures", MultisigSign,
        "Add a signature that was made elsewhere" {
            /// Who signed: what people call them.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<LabelText>)]
            signer: Option<Label>,
            /// Who signed, by their key instead: its algorithm.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<AlgorithmName>)]
            algorithm: Option<Algorithm>,
            /// And its bytes, base64.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            public_key: Option<Bytes>,
            /// The signature, base64.
            signature: Bytes,
        }
        |what, operation, desk| {
            let signer = match (what.signer, what.algorithm, what.public_key) {
                (Some(label), None, None) => SignerRef::Label(label),
                (None, Some(algorithm), Some(key)) => {
                    let key = PublicKey::validated(algorithm, &key.0);
                    SignerRef::Key(key.map_err(|why| Failure::usage(why.to_string()))?)
                }
                _ => return Err(Failure::usage("a signer is named, or their algorithm and public_key")),
            };
            let multisig = desk.kms.multisig(desk.caller);
            let view = multisig.add_signature(operation, &signer, &what.signature.0)?;
            Ok(MultiSigOperationView::of(&view))
        };
    /// Calls an operation off for ever.
    CancelOperation: "cancel", Post "/cancel", KeyRead,
        "Call an operation off for ever" {
            /// Why; goes on record.
            #[schema(value_type = ReasonText)]
            reason: Reason,
        }
        |what, operation, desk| {
            let multisig = desk.kms.multisig(desk.caller);
            multisig.cancel_operation(operation, &what.reason)?;
            Ok(MultiSigOperationView::of(&multisig.get_operation(operation)?))
        };
}

/// Completes an operation that enough have signed, and carries out what it approves, which needs the
/// permission for that; completing one over bytes needs `multisig:complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteOperation {}

impl Operation for CompleteOperation {
    type On = OperationId;
    type Answer = CompletedView;
    const NAME: &'static str = "multisig.complete";
    const ABOUT: &'static str = "Complete an operation that enough have signed";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/multisig/operations/{operation}/complete";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, operation: OperationId, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let done = desk.kms.multisig(desk.caller).complete_operation(operation)?;
        Ok(CompletedView::of(&done))
    }
}

/// An approval rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(as = ApprovalRule, value_type = RuleShape)]
pub struct RuleView(pub ApprovalRule);

/// How a rule looks in OpenAPI.
#[derive(Serialize, ToSchema)]
#[schema(as = ApprovalRuleShape)]
struct RuleShape {
    /// Its name.
    #[schema(value_type = LabelText)]
    name: String,
    /// 1, and one more with each change.
    version: u64,
    /// Which acts wait.
    #[schema(value_type = Vec<ActName>)]
    acts: Vec<String>,
    /// Of which keys.
    scope: ScopeShape,
    /// The id of the multi-signature key whose approval it is.
    quorum: String,
    /// Whether whoever asks may be among those who approve.
    initiator_counts: bool,
    /// When it was set as it stands.
    #[schema(value_type = Moment)]
    set_at: String,
    /// By which principal.
    #[schema(value_type = PrincipalIdText)]
    set_by: String,
}

/// Lists the approval rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListRules {}

impl Operation for ListRules {
    type On = Unnamed;
    type Answer = Vec<RuleView>;
    const NAME: &'static str = "approvals.rules";
    const ABOUT: &'static str = "List the approval rules";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/approvals/rules";
    const NEEDS: Option<Permission> = Some(Permission::KeyRead);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let rules = desk.kms.multisig(desk.caller).approval_rules()?;
        Ok(rules.into_iter().map(RuleView).collect())
    }
}

/// Makes an approval rule, or replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRule {
    /// Which acts wait.
    #[schema(value_type = Vec<ActName>)]
    pub acts: BTreeSet<ActKind>,
    /// Of which keys.
    #[schema(value_type = ScopeShape)]
    pub scope: Scope,
    /// Whose approval: label or id of a multi-signature key.
    pub quorum: String,
    /// Whether whoever asks may be among those who approve.
    #[serde(default)]
    pub initiator_counts: bool,
}

impl Operation for SetRule {
    type On = RuleName;
    type Answer = RuleView;
    const NAME: &'static str = "approvals.set_rule";
    const ABOUT: &'static str = "Make an approval rule, or replace it";
    const METHOD: Method = Method::Put;
    const ROUTE: &'static str = "/v1/approvals/rules/{rule}";
    const NEEDS: Option<Permission> = Some(Permission::PolicyManage);

    fn carry_out(self, rule: RuleName, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        let Self { acts, scope, quorum, initiator_counts } = self;
        let new = NewRule { name: rule.0, acts, scope, quorum, initiator_counts };
        Ok(RuleView(desk.kms.multisig(desk.caller).set_rule(new)?))
    }
}

/// Removes an approval rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveRule {}

impl Operation for RemoveRule {
    type On = RuleName;
    type Answer = crate::Done;
    const NAME: &'static str = "approvals.remove_rule";
    const ABOUT: &'static str = "Remove an approval rule";
    const METHOD: Method = Method::Delete;
    const ROUTE: &'static str = "/v1/approvals/rules/{rule}";
    const NEEDS: Option<Permission> = Some(Permission::PolicyManage);

    fn carry_out(self, rule: RuleName, desk: &Desk<'_>) -> Result<Self::Answer, Failure> {
        desk.kms.multisig(desk.caller).remove_rule(&rule.0)?;
        Ok(crate::Done {})
    }
}
