//! The shape of an operation.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;

use kms::access::Permission;
use kms::access::PrincipalName;
use kms::access::RoleName;
use kms::access::SessionTag;
use kms::key::KeyRef;
use kms::key::Label;
use kms::manager::Caller;
use kms::manager::KeyManager;
use kms::multisig::OperationId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::Failure;

/// Most items one page of a list has.
pub const PAGE_LIMIT: usize = 1000;

/// Where an operation is carried out: an open home, and who asks.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a> {
    /// The home.
    pub kms: &'a KeyManager,
    /// Who asks.
    pub caller: &'a Caller,
}

/// One thing that can be asked of a home. The value itself is the body of its request, or the query
/// of one that only reads.
pub trait Operation: Serialize + DeserializeOwned + ToSchema + Send + 'static {
    /// What the path names: a key, a principal, or nothing.
    type On: Named;
    /// What comes back; the JSON that `-o json` prints.
    type Answer: Serialize + DeserializeOwned + ToSchema + Send + 'static;

    /// Its name: `keys.suspend`.
    const NAME: &'static str;
    /// What it does, in one line.
    const ABOUT: &'static str;
    /// How it is asked for.
    const METHOD: Method;
    /// Where; `{…}` stands for what is named.
    const ROUTE: &'static str;
    /// The permission it needs; `None` where a session is enough.
    const NEEDS: Option<Permission>;
    /// What it does to the home.
    const EFFECT: Effect = match Self::METHOD {
        Method::Get => Effect::Reads,
        Method::Post | Method::Put | Method::Delete => Effect::Changes,
    };

    /// Carries it out, the whole way; what is returned is on record.
    ///
    /// # Errors
    /// When it was refused or went wrong; that is on record, too.
    fn carry_out(self, on: Self::On, desk: &Desk<'_>) -> Result<Self::Answer, Failure>;

    /// Where the next page of a list begins; `None` on its last page.
    fn next(_: &Self::Answer) -> Option<String> {
        None
    }
}

/// A use of a key that may be many at once: made now, released when its record is durable, and
/// awaited without a thread.
pub trait Uses: Operation<On = KeyRef> {
    /// Uses the key; what comes of it is released when its record is durable.
    ///
    /// # Errors
    /// As [`Operation::carry_out`].
    fn start(self, on: Self::On, desk: &Desk<'_>) -> Result<Underway<Self::Answer>, Failure>;

    /// How many uses it is.
    fn items(&self) -> usize {
        1
    }
}

/// What comes of uses of a key, once their records are durable.
pub type Underway<A> = Pin<Box<dyn Future<Output = Result<A, Failure>> + Send>>;

/// How an operation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads; the value is the query.
    Get,
    /// Does; the value is the body.
    Post,
    /// Puts in place; the value is the body.
    Put,
    /// Removes; the value is the query.
    Delete,
}

impl Method {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Whether the value travels as the body; else as the query.
    pub fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put)
    }
}

/// What an operation does to a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing but a record.
    Reads,
    /// Changes something that is there.
    Changes,
    /// Makes something new: asked for twice with one idempotency key, it is made once.
    Creates,
    /// Takes or gives a secret: the connection ends behind it, and its buffers with it.
    Secret,
}

/// What stands in a path.
pub trait Named: Clone + Send + 'static {
    /// The name of the path's parameter; `None` where the path names nothing.
    const PARAMETER: Option<&'static str>;

    /// The text in the path, not yet escaped.
    fn text(&self) -> String;

    /// Reads the text of the path, no more escaped.
    ///
    /// # Errors
    /// When it is no such name.
    fn read(text: &str) -> Result<Self, InvalidTarget>;
}

/// A text in a path that names nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTarget(pub String);

/// The path names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unnamed;

impl Named for Unnamed {
    const PARAMETER: Option<&'static str> = None;

    fn text(&self) -> String {
        String::new()
    }

    fn read(_: &str) -> Result<Self, InvalidTarget> {
        Ok(Self)
    }
}

macro_rules! named {
    ($($type:ty = $parameter:literal;)+) => {$(
        impl Named for $type {
            const PARAMETER: Option<&'static str> = Some($parameter);

            fn text(&self) -> String {
                self.to_string()
            }

            fn read(text: &str) -> Result<Self, InvalidTarget> {
                parse(text)
            }
        }
    )+};
}

/// The name of an approval rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleName(pub Label);

impl Display for RuleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RuleName {
    type Err = <Label as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

named! {
    KeyRef = "key";
    PrincipalName = "principal";
    RoleName = "role";
    Label = "policy";
    SessionTag = "session";
    Permission = "permission";
    String = "multisig";
    OperationId = "operation";
    RuleName = "rule";
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, InvalidTarget> {
    text.parse().map_err(|e: T::Err| InvalidTarget(e.to_string()))
}

/// The path of an operation on something: its route with the name in place, escaped.
pub fn path<O: Operation>(on: &O::On) -> String {
    let Some(parameter) = O::On::PARAMETER else { return O::ROUTE.to_owned() };
    O::ROUTE.replace(&format!("{{{parameter}}}"), &escaped(&on.text()))
}

/// Percent-encoded, all but letters, digits and `-._~` (RFC 3986 section 2.3).
fn escaped(text: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(byte.into());
            }
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}
