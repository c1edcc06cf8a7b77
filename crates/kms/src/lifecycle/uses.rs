//! The uses of a private key. There are these and no others.

use kms_formats::private::PrivateKey;

use crate::key::Algorithm;
use crate::key::KeyId;
use crate::key::ManagedKey;
use crate::key::PublicKey;
use crate::key::Purpose;
use crate::key::Scheme;

/// Making a key pair.
#[derive(Debug)]
pub struct Generate {
    /// The id it will have.
    pub id: KeyId,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its purpose.
    pub purpose: Purpose,
}

/// Taking in a private key from outside.
#[derive(Debug)]
pub struct Import<'a> {
    /// The id it will have.
    pub id: KeyId,
    /// Its purpose.
    pub purpose: Purpose,
    /// The private half, which tells its algorithm.
    pub material: &'a PrivateKey,
    /// The public half that came with it, if one did; one that does not belong to it is refused.
    pub claimed_public: Option<&'a PublicKey>,
}

/// Taking over a key that another program made in a storage.
#[derive(Debug)]
pub struct Adopt<'a> {
    /// The id it will have.
    pub id: KeyId,
    /// Its name in the storage, or its identifier there in hex.
    pub name: &'a str,
}

/// Opening a key file to put its private half into another storage, for good.
#[derive(Debug)]
pub struct Migrate<'a> {
    /// The key.
    pub key: &'a ManagedKey,
}

/// Removing a private key from a storage that no record here names.
#[derive(Debug)]
pub struct RemoveObject<'a> {
    /// Its name in the storage, or its identifier there in hex.
    pub name: &'a str,
}

/// Signing a message.
#[derive(Debug)]
pub struct Sign<'a> {
    /// The key.
    pub key: &'a ManagedKey,
    /// What is signed: the message, or its digest where `scheme` says so.
    pub message: &'a [u8],
    /// How.
    pub scheme: Scheme,
}

/// Signing a vote or a proposal. No storage does this: the guard against double signing makes a
/// [`Sign`] of it, of bytes that it made itself.
#[derive(Debug)]
pub struct Consensus<'a> {
    /// The key.
    pub key: &'a ManagedKey,
}

/// Removing the private half for ever.
#[derive(Debug)]
pub struct Destroy<'a> {
    /// The key.
    pub key: &'a ManagedKey,
}
