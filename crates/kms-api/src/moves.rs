//! Keys that move through their life.

use kms::access::Permission;
use kms::key::KeyRef;
use kms::key::ManagedKey;
use kms::key::Reason;
use kms::manager::Error;
use kms::manager::KeyLifecycleManager;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Desk;
use crate::Effect;
use crate::Failure;
use crate::KeyView;
use crate::Method;
use crate::Operation;
use crate::schema::KeyRefText;
use crate::schema::ReasonText;

/// A move of one key that carries nothing but its reason.
pub trait Move: Operation<On = KeyRef, Answer = KeyView> {
    /// The move in words: "suspend".
    const VERB: &'static str;

    /// The move, for a reason.
    fn because(reason: Reason) -> Self;
}

/// One struct per move: all alike, but for what is called.
macro_rules! moves {
    ($($(#[$about:meta])* $name:ident: $verb:literal, $word:literal, $needs:ident, $about_line:literal, $call:expr;)+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Why; goes on record.
            #[schema(value_type = ReasonText)]
            pub reason: Reason,
        }

        impl Operation for $name {
            type On = KeyRef;
            type Answer = KeyView;
            const NAME: &'static str = concat!("keys.", $word);
            const ABOUT: &'static str = $about_line;
            const METHOD: Method = Method::Post;
            const ROUTE: &'static str = concat!("/v1/keys/{key}/", $word);
            const NEEDS: Option<Permission> = Some(Permission::$needs);

            fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<KeyView, Failure> {
                let call: Call = $call;
                let key = call(&desk.kms.lifecycle(desk.caller), &key, &self.reason)?;
                Ok(KeyView::new(desk.kms, &key))
            }
        }

        impl Move for $name {
            const VERB: &'static str = $verb;

            fn because(reason: Reason) -> Self {
                Self { reason }
            }
        }
    )+};
}

type Call = fn(&KeyLifecycleManager<'_>, &KeyRef, &Reason) -> Result<ManagedKey, Error>;

moves! {
    /// Puts a created key into use.
    Activate: "activate", "activate", KeyCreate,
        "Put a created key into use", |l, k, r| l.activate_key(k, r);
    /// Stops a key for now.
    Suspend: "suspend", "suspend", KeySuspend,
        "Stop a key for now", |l, k, r| l.suspend_key(k, r);
    /// Puts a suspended key back into use.
    Reactivate: "reactivate", "reactivate", KeyCreate,
        "Put a suspended key back into use", |l, k, r| l.reactivate_key(k, r);
    /// Ends a rotation: the old key signs no more.
    Complete: "complete the rotation of", "complete-rotation", KeyRotate,
        "End a rotation: the old key signs no more", |l, k, r| l.complete_rotation(k, r);
    /// Undoes a rotation that is not complete.
    Abort: "abort the rotation of", "abort-rotation", KeyRotate,
        "Undo a rotation that is not complete: the old key stays", |l, k, r| l.abort_rotation(k, r);
    /// Stops a key for good; it still verifies.
    Deactivate: "deactivate", "deactivate", KeyRotate,
        "Stop a key for good; it still verifies", |l, k, r| l.deactivate_key(k, r);
    /// Puts a key away after its grace period.
    Archive: "archive", "archive", KeyRotate,
        "Put a key away after its grace period", |l, k, r| l.archive_key(k, r);
    /// Marks a key as known to others; it never signs again.
    Compromise: "mark as compromised", "compromise", CompromiseReport,
        "Mark a key as known to others; it never signs again", |l, k, r| l.mark_compromised(k, r);
    /// Orders the destruction of a key, which can be cancelled until it is due.
    ScheduleDestroy: "order the destruction of", "destroy", KeyDestroy,
        "Order the destruction of a key; it can be cancelled until it is due",
        |l, k, r| l.schedule_destroy(k, r);
    /// Cancels a destruction that was ordered.
    CancelDestroy: "cancel the destruction of", "cancel-destroy", KeyDestroy,
        "Cancel a destruction that was ordered", |l, k, r| l.cancel_destroy(k, r);
    /// Destroys the private half of a key at once; there is no way back.
    DestroyNow: "destroy at once", "destroy-now", KeyDestroy,
        "Destroy the private half of a key at once; there is no way back",
        |l, k, r| l.destroy_now(k, r);
}

/// Makes a successor that takes over the name; answers the successor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// Why; goes on record.
    #[schema(value_type = ReasonText)]
    pub reason: Reason,
}

impl Operation for Rotate {
    type On = KeyRef;
    type Answer = KeyView;
    const NAME: &'static str = "keys.rotate";
    const ABOUT: &'static str = "Make a successor that takes over the name";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/{key}/rotate";
    const NEEDS: Option<Permission> = Some(Permission::KeyRotate);
    const EFFECT: Effect = Effect::Creates;

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<KeyView, Failure> {
        let key = desk.kms.rotate_key(desk.caller, &key, &self.reason)?;
        Ok(KeyView::new(desk.kms, &key))
    }
}

/// Rotates to a key that exists; answers the old key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateTo {
    /// The key that takes over: label or id.
    #[schema(value_type = KeyRefText)]
    pub successor: KeyRef,
    /// Why; goes on record.
    #[schema(value_type = ReasonText)]
    pub reason: Reason,
}

impl Operation for RotateTo {
    type On = KeyRef;
    type Answer = KeyView;
    const NAME: &'static str = "keys.rotate_to";
    const ABOUT: &'static str = "Rotate to a key that exists";
    const METHOD: Method = Method::Post;
    const ROUTE: &'static str = "/v1/keys/{key}/rotate-to";
    const NEEDS: Option<Permission> = Some(Permission::KeyRotate);

    fn carry_out(self, key: KeyRef, desk: &Desk<'_>) -> Result<KeyView, Failure> {
        let lifecycle = desk.kms.lifecycle(desk.caller);
        let key = lifecycle.rotate_key(&key, &self.successor, &self.reason)?;
        Ok(KeyView::new(desk.kms, &key))
    }
}
