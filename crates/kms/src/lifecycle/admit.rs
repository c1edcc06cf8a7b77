//! Admission: the state and the purpose of a key allow this use now.
//!
//! The third of the stages every use of a private key passes. It decides from values alone and
//! hands on an [`Admitted`], which only this module can make.

use crate::access::Grant;
use crate::access::GrantedTarget;
use crate::access::Permission;
use crate::key::Algorithm;
use crate::key::KeyState;
use crate::key::Label;
use crate::key::ManagedKey;
use crate::key::Prehash;
use crate::key::Purpose;
use crate::lifecycle::KeyLifecyclePolicy;
use crate::lifecycle::KeyOperation;
use crate::lifecycle::Refusal;
use crate::lifecycle::may_rotate;
use crate::lifecycle::permits;
use crate::lifecycle::state_at;
use crate::lifecycle::uses::Adopt;
use crate::lifecycle::uses::Consensus;
use crate::lifecycle::uses::Destroy;
use crate::lifecycle::uses::Generate;
use crate::lifecycle::uses::Import;
use crate::lifecycle::uses::Migrate;
use crate::lifecycle::uses::RemoveObject;
use crate::lifecycle::uses::Sign;
use crate::time::Timestamp;

/// A use that its key's state and purpose allow at this moment. Made in this module only.
///
/// ```compile_fail,E0423
/// fn admit<U>(what: U) -> kms::lifecycle::Admitted<U> {
///     kms::lifecycle::Admitted(what) // private: only a decision makes one
/// }
/// ```
#[derive(Debug)]
pub struct Admitted<U>(U);

impl<U> Admitted<U> {
    pub(crate) fn into_use(self) -> U {
        self.0
    }
}

/// Admits the making of a key, new or to follow one that is rotated, if its purpose and its policy
/// allow the algorithm.
pub(crate) fn admit_generate(
    grant: Grant,
    what: Generate,
    policy: &KeyLifecyclePolicy,
) -> Result<Admitted<Generate>, Refusal> {
    spend(grant, |permission, target| {
        matches!(
            (permission, target),
            (Permission::KeyCreate, GrantedTarget::NewKey)
                | (Permission::KeyRotate, GrantedTarget::Key(_))
        )
    })?;
    algorithm_allowed(what.purpose, what.algorithm, policy)?;
    Ok(Admitted(what))
}

/// Admits the taking in of a key if its purpose and its policy allow the algorithm.
pub(crate) fn admit_import<'a>(
    grant: Grant,
    what: Import<'a>,
    policy: &KeyLifecyclePolicy,
) -> Result<Admitted<Import<'a>>, Refusal> {
    spend(grant, |permission, target| {
        (permission, target) == (Permission::KeyImport, GrantedTarget::NewKey)
    })?;
    algorithm_allowed(what.purpose, what.material.algorithm, policy)?;
    Ok(Admitted(what))
}

/// Admits the search for a key that another program made. What is found is admitted as a key by
/// [`admit_adopted`], once its algorithm is known.
pub(crate) fn admit_adopt<'a>(
    grant: Grant,
    what: Adopt<'a>,
) -> Result<Admitted<Adopt<'a>>, Refusal> {
    let wanted = (Permission::KeyImport, GrantedTarget::NewKey);
    spend(grant, |permission, target| (permission, target) == wanted)?;
    Ok(Admitted(what))
}

/// Admits a key that was taken over if its purpose and its policy allow its algorithm.
pub(crate) fn admit_adopted(
    (purpose, algorithm): (Purpose, Algorithm),
    policy: &KeyLifecyclePolicy,
) -> Result<(), Refusal> {
    algorithm_allowed(purpose, algorithm, policy)
}

/// Admits the handing over of a private half to another storage if the key may get a successor now,
/// which its copy there will be.
pub(crate) fn admit_migrate<'a>(
    grant: Grant,
    what: Migrate<'a>,
    now: Timestamp,
) -> Result<Admitted<Migrate<'a>>, Refusal> {
    let wanted = (Permission::KeyRotate, GrantedTarget::Key(what.key.id));
    spend(grant, |permission, target| (permission, target) == wanted)?;
    may_rotate(what.key, now)?;
    Ok(Admitted(what))
}

/// Admits the removal of a private key that no record names, which the caller has looked at.
pub(crate) fn admit_remove_object<'a>(
    grant: Grant,
    what: RemoveObject<'a>,
) -> Result<Admitted<RemoveObject<'a>>, Refusal> {
    let wanted = (Permission::HsmManage, GrantedTarget::None);
    spend(grant, |permission, target| (permission, target) == wanted)?;
    Ok(Admitted(what))
}

/// Admits the signing of a message if the key's state at `now` permits it, the purpose is not
/// consensus, and the scheme is one that the algorithm has.
pub(crate) fn admit_sign<'a>(
    grant: Grant,
    what: Sign<'a>,
    now: Timestamp,
) -> Result<Admitted<Sign<'a>>, Refusal> {
    let wanted = (signing_permission(what.scheme.prehash), GrantedTarget::Key(what.key.id));
    spend(grant, |permission, target| (permission, target) == wanted)?;
    sign_allowed(&what, now)?;
    Ok(Admitted(what))
}

/// Admits the signing of a multi-signature operation's bytes, under the same conditions: to take part in
/// one is a right of its own.
pub(crate) fn admit_joint_sign<'a>(
    grant: Grant,
    what: Sign<'a>,
    now: Timestamp,
) -> Result<Admitted<Sign<'a>>, Refusal> {
    let wanted = (Permission::MultisigSign, GrantedTarget::Key(what.key.id));
    spend(grant, |permission, target| (permission, target) == wanted)?;
    sign_allowed(&what, now)?;
    Ok(Admitted(what))
}

/// Admits the signing of a vote or a proposal if the key's state at `now` permits it and it is for
/// consensus. Which vote is the guard's to decide.
pub(crate) fn admit_consensus<'a>(
    grant: Grant,
    what: Consensus<'a>,
    now: Timestamp,
) -> Result<Admitted<Consensus<'a>>, Refusal> {
    let wanted = (Permission::KeySign, GrantedTarget::Key(what.key.id));
    spend(grant, |permission, target| (permission, target) == wanted)?;
    admit_operation(what.key, KeyOperation::Sign, now)?;
    match what.key.purpose {
        Purpose::Consensus => Ok(Admitted(what)),
        purpose @ (Purpose::Account | Purpose::Provider | Purpose::General) => {
            Err(Refusal::NotForConsensus { key: what.key.label.clone(), purpose })
        }
    }
}

/// What signing with a prehash needs: to sign a digest of the caller's is a right of its own.
pub(crate) fn signing_permission(prehash: Prehash) -> Permission {
    match prehash {
        Prehash::Prehashed => Permission::KeySignDigest,
        Prehash::Sha256 | Prehash::Keccak256 => Permission::KeySign,
    }
}

fn sign_allowed(what: &Sign<'_>, now: Timestamp) -> Result<(), Refusal> {
    let (key, operation) = (what.key.label.clone(), KeyOperation::Sign);
    let state = state_at(what.key, now);
    if !permits(state, operation) {
        return Err(Refusal::Use { key, state, operation });
    }
    match what.key.purpose {
        Purpose::Consensus => return Err(Refusal::RawConsensus { key }),
        Purpose::Account | Purpose::Provider | Purpose::General => {}
    }
    match what.scheme.prehash {
        Prehash::Sha256 => {}
        Prehash::Keccak256 => keccak_allowed(key, what.key.algorithm())?,
        Prehash::Prehashed => digest_allowed(key, what.key.algorithm(), what.message)?,
    }
    Ok(())
}

/// Admits the removal of a private half if the record says that it is gone: the key was moved to
/// Destroyed or Archived, with all the guards of those moves. `what.key` is the key *after* that
/// move, so a removal that a crash cut off is admitted again from the stored record.
pub(crate) fn admit_destroy<'a>(
    grant: Grant,
    what: Destroy<'a>,
) -> Result<Admitted<Destroy<'a>>, Refusal> {
    let wanted = GrantedTarget::Key(what.key.id); // which permission is the move's to know
    spend(grant, |_, target| target == wanted)?;
    admit_left_behind(what)
}

/// Admits the removal of a private half that a crash left behind: a person's grant was spent on the
/// move that the record tells of.
pub(crate) fn admit_left_behind(what: Destroy<'_>) -> Result<Admitted<Destroy<'_>>, Refusal> {
    match what.key.state {
        KeyState::Destroyed | KeyState::Archived => Ok(Admitted(what)),
        KeyState::Created
        | KeyState::Pending
        | KeyState::Active
        | KeyState::Rotating
        | KeyState::Suspended
        | KeyState::Deactivated
        | KeyState::Expired
        | KeyState::Compromised => {
            let (key, state) = (what.key.label.clone(), what.key.state);
            Err(Refusal::PrivateHalfStays { key, state })
        }
    }
}

/// Says whether `operation`, which needs no private key, may be done with `key` at `now`.
pub(crate) fn admit_operation(
    key: &ManagedKey,
    operation: KeyOperation,
    now: Timestamp,
) -> Result<(), Refusal> {
    let state = state_at(key, now);
    if permits(state, operation) {
        return Ok(());
    }
    Err(Refusal::Use { key: key.label.clone(), state, operation })
}

/// Spends a grant on what it was given for: leave to use one key is no leave to use another.
fn spend(
    grant: Grant,
    is_for_this: impl FnOnce(Permission, GrantedTarget) -> bool,
) -> Result<(), Refusal> {
    let permission = grant.permission();
    if is_for_this(permission, grant.target()) {
        return Ok(());
    }
    Err(Refusal::OtherGrant { permission })
}

fn algorithm_allowed(
    purpose: Purpose,
    algorithm: Algorithm,
    policy: &KeyLifecyclePolicy,
) -> Result<(), Refusal> {
    if !purpose.allows(algorithm) {
        return Err(Refusal::PurposeAlgorithm { purpose, algorithm });
    }
    if !policy.allows(algorithm) {
        return Err(Refusal::PolicyAlgorithm { policy: policy.name.clone(), algorithm });
    }
    Ok(())
}

fn keccak_allowed(key: Label, algorithm: Algorithm) -> Result<(), Refusal> {
    match algorithm {
        Algorithm::Secp256k1 => Ok(()),
        Algorithm::Ed25519 | Algorithm::P256 | Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
            Err(Refusal::Keccak { key, algorithm })
        }
    }
}

fn digest_allowed(key: Label, algorithm: Algorithm, digest: &[u8]) -> Result<(), Refusal> {
    match algorithm {
        Algorithm::Secp256k1 | Algorithm::P256 if digest.len() == 32 => Ok(()),
        Algorithm::Secp256k1 | Algorithm::P256 => {
            Err(Refusal::DigestLength { key, given: digest.len() })
        }
        Algorithm::Ed25519 | Algorithm::Rsa2048 | Algorithm::Rsa4096 => {
            Err(Refusal::Digest { key, algorithm })
        }
    }
}

#[cfg(test)]
mod tests {
    use kms_formats::private::PrivateKey;
    use kms_secret::SecretBytes;

    use super::*;
    use crate::key::KeyId;
    use crate::key::ManagedKey;
    use crate::key::Padding;
    use crate::key::Scheme;
    use crate::lifecycle::tests::key_in;
    use crate::lifecycle::tests::now;
    use crate::lifecycle::tests::public_key;

    fn sign<'a>(key: &'a ManagedKey, prehash: Prehash, message: &'a [u8]) -> Sign<'a> {
        Sign { key, message, scheme: Scheme { prehash, padding: Padding::Pss } }
    }

    fn active(algorithm: Algorithm) -> ManagedKey {
        ManagedKey { public_key: public_key(algorithm, 1), ..key_in(KeyState::Active) }
    }

    fn admit<'a>(what: Sign<'a>, now: Timestamp) -> Result<Admitted<Sign<'a>>, Refusal> {
        let permission = signing_permission(what.scheme.prehash);
        admit_sign(Grant::for_test(permission, GrantedTarget::Key(what.key.id)), what, now)
    }

    fn to_create() -> Grant {
        Grant::for_test(Permission::KeyCreate, GrantedTarget::NewKey)
    }

    #[test]
    fn leave_for_one_key_or_one_permission_is_none_for_another() {
        let key = key_in(KeyState::Active);
        let (this, other) = (key.id, KeyId::from_random([7; 16]));
        for (permission, target) in [
            (Permission::KeySign, GrantedTarget::Key(other)),
            (Permission::KeySign, GrantedTarget::None),
            (Permission::KeySignDigest, GrantedTarget::Key(this)),
            (Permission::KeyRead, GrantedTarget::Key(this)),
        ] {
            let grant = Grant::for_test(permission, target);
            let admitted = admit_sign(grant, sign(&key, Prehash::Sha256, b"m"), now());
            assert_eq!(admitted.unwrap_err(), Refusal::OtherGrant { permission }, "{target:?}");
        }
        let permission = Permission::KeyDestroy;
        let destroyed = key_in(KeyState::Destroyed);
        let grant = Grant::for_test(permission, GrantedTarget::Key(other));
        let admitted = admit_destroy(grant, Destroy { key: &destroyed });
        assert_eq!(admitted.unwrap_err(), Refusal::OtherGrant { permission });
        let (purpose, algorithm) = (Purpose::General, Algorithm::Ed25519);
        let policy = KeyLifecyclePolicy::standard();
        for (permission, target) in [
            (Permission::KeyImport, GrantedTarget::NewKey),
            (Permission::KeyCreate, GrantedTarget::Key(this)),
            (Permission::KeyRotate, GrantedTarget::NewKey),
        ] {
            let what = Generate { id: other, algorithm, purpose };
            let admitted = admit_generate(Grant::for_test(permission, target), what, &policy);
            assert_eq!(admitted.unwrap_err(), Refusal::OtherGrant { permission }, "{target:?}");
        }
    }

    #[test]
    fn only_active_and_rotating_keys_sign() {
        for state in KeyState::ALL {
            let key = key_in(state);
            let admitted = admit(sign(&key, Prehash::Sha256, b"m"), now());
            let expected = matches!(state, KeyState::Active | KeyState::Rotating);
            assert_eq!(admitted.is_ok(), expected, "{state}");
        }
    }

    #[test]
    fn suspended_key_refuses_to_sign() {
        let key = key_in(KeyState::Suspended);
        let refusal = admit(sign(&key, Prehash::Sha256, b"m"), now()).unwrap_err();
        assert_eq!(refusal.to_string(), "key val is suspended, not active or rotating");
    }

    #[test]
    fn key_past_its_expiry_refuses_to_sign_before_any_sweep() {
        let key = ManagedKey { expires_at: Some(now()), ..key_in(KeyState::Active) };
        let just_before = Timestamp::from_micros(now().micros() - 1);
        assert!(admit(sign(&key, Prehash::Sha256, b"m"), just_before).is_ok());
        let refusal = admit(sign(&key, Prehash::Sha256, b"m"), now()).unwrap_err();
        assert_eq!(refusal.to_string(), "key val is expired, not active or rotating");
    }

    #[test]
    fn consensus_keys_sign_no_raw_bytes() {
        let key = ManagedKey { purpose: Purpose::Consensus, ..key_in(KeyState::Active) };
        let refusal = admit(sign(&key, Prehash::Sha256, b"m"), now()).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "key val is for consensus; it signs typed votes and proposals only"
        );
    }

    #[test]
    fn votes_are_for_consensus_keys_that_may_sign() {
        for state in KeyState::ALL {
            for purpose in Purpose::ALL {
                let key = ManagedKey { purpose, ..key_in(state) };
                let grant = Grant::for_test(Permission::KeySign, GrantedTarget::Key(key.id));
                let admitted = admit_consensus(grant, Consensus { key: &key }, now());
                let signs = matches!(state, KeyState::Active | KeyState::Rotating);
                let expected = signs && purpose == Purpose::Consensus;
                assert_eq!(admitted.is_ok(), expected, "{state} {purpose}");
            }
        }
        let key = ManagedKey { purpose: Purpose::Consensus, ..key_in(KeyState::Active) };
        let target = GrantedTarget::Key(KeyId::from_random([7; 16]));
        let other = Grant::for_test(Permission::KeySign, target);
        let permission = Permission::KeySign;
        let admitted = admit_consensus(other, Consensus { key: &key }, now());
        assert_eq!(admitted.unwrap_err(), Refusal::OtherGrant { permission });
    }

    #[test]
    fn keccak_is_for_secp256k1_alone() {
        for algorithm in Algorithm::ALL {
            let key = active(algorithm);
            let admitted = admit(sign(&key, Prehash::Keccak256, b"m"), now());
            assert_eq!(admitted.is_ok(), algorithm == Algorithm::Secp256k1, "{algorithm}");
        }
    }

    #[test]
    fn digests_are_for_ecdsa_and_have_32_bytes() {
        for algorithm in Algorithm::ALL {
            let key = active(algorithm);
            let ecdsa = matches!(algorithm, Algorithm::Secp256k1 | Algorithm::P256);
            for length in [0, 20, 31, 32, 33, 64] {
                let digest = vec![7; length];
                let admitted = admit(sign(&key, Prehash::Prehashed, &digest), now());
                assert_eq!(admitted.is_ok(), ecdsa && length == 32, "{algorithm} {length}");
            }
        }
    }

    #[test]
    fn what_is_admitted_is_what_was_asked() {
        let key = active(Algorithm::Secp256k1);
        let admitted = admit(sign(&key, Prehash::Prehashed, &[9; 32]), now()).unwrap();
        let what = admitted.into_use();
        assert_eq!((what.key.id, what.message), (key.id, [9; 32].as_slice()));
        assert_eq!(what.scheme.prehash, Prehash::Prehashed);
    }

    #[test]
    fn keys_are_made_only_with_an_algorithm_of_purpose_and_policy() {
        let mut policy = KeyLifecyclePolicy::standard();
        let id = KeyId::from_random([1; 16]);
        let generate = |purpose, algorithm| Generate { id, algorithm, purpose };
        let refusal =
            admit_generate(to_create(), generate(Purpose::Consensus, Algorithm::P256), &policy);
        assert_eq!(refusal.unwrap_err().to_string(), "a key for consensus cannot be p256");
        assert!(
            admit_generate(to_create(), generate(Purpose::General, Algorithm::P256), &policy)
                .is_ok()
        );
        policy.allowed_algorithms = vec![Algorithm::Ed25519];
        let refusal =
            admit_generate(to_create(), generate(Purpose::General, Algorithm::P256), &policy);
        assert_eq!(refusal.unwrap_err().to_string(), "policy default does not allow p256");
    }

    #[test]
    fn keys_are_imported_only_with_an_algorithm_of_purpose_and_policy() {
        let policy =
            KeyLifecyclePolicy { minimum_strength_bits: 128, ..KeyLifecyclePolicy::standard() };
        let admitted = |purpose, algorithm| {
            let material = PrivateKey { algorithm, bytes: SecretBytes::zeroed(32) };
            let id = KeyId::from_random([1; 16]);
            admit_import(
                Grant::for_test(Permission::KeyImport, GrantedTarget::NewKey),
                Import { id, purpose, material: &material, claimed_public: None },
                &policy,
            )
            .map(|_| ())
        };
        assert_eq!(admitted(Purpose::Account, Algorithm::Secp256k1), Ok(()));
        let (purpose, algorithm) = (Purpose::Account, Algorithm::Rsa4096);
        assert_eq!(
            admitted(purpose, algorithm),
            Err(Refusal::PurposeAlgorithm { purpose, algorithm })
        );
        let (policy, algorithm) = (policy.name.clone(), Algorithm::Rsa2048);
        assert_eq!(
            admitted(Purpose::General, algorithm),
            Err(Refusal::PolicyAlgorithm { policy, algorithm })
        );
    }

    #[test]
    fn a_private_half_goes_only_when_the_record_says_so() {
        for state in KeyState::ALL {
            let key = key_in(state);
            let gone = matches!(state, KeyState::Destroyed | KeyState::Archived);
            let grant = Grant::for_test(Permission::KeyDestroy, GrantedTarget::Key(key.id));
            assert_eq!(admit_destroy(grant, Destroy { key: &key }).is_ok(), gone, "{state}");
        }
    }
}
