//! What did not work, as it travels: problem details (RFC 9457) with the code, the kind and the
//! advice that the command line tells.

use std::borrow::Cow;

use kms::manager::Error;
use kms::manager::ErrorKind;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// What kind of answer a failure is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Anything else.
    Other,
    /// The request does not make sense.
    Usage,
    /// What it is about is not there.
    NotFound,
    /// It is there already, or in use.
    Conflict,
    /// The caller may not.
    NotPermitted,
    /// Who the caller is was not shown, or a second factor is missing.
    Authentication,
    /// Something that is needed cannot be used now.
    Unavailable,
    /// Something was altered, or does not fit.
    Integrity,
    /// A threshold was not met in time.
    Threshold,
    /// Refused for safety.
    Unsafe,
    /// Waits for an approval.
    Waiting,
}

impl From<ErrorKind> for Kind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Other => Self::Other,
            ErrorKind::Usage => Self::Usage,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::NotPermitted => Self::NotPermitted,
            ErrorKind::Authentication => Self::Authentication,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Integrity => Self::Integrity,
            ErrorKind::Threshold => Self::Threshold,
            ErrorKind::Unsafe => Self::Unsafe,
            ErrorKind::Waiting => Self::Waiting,
        }
    }
}

impl Kind {
    /// The kind in words: the title of every failure of it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Other => "it went wrong",
            Self::Usage => "the request does not make sense",
            Self::NotFound => "not found",
            Self::Conflict => "exists, or in use",
            Self::NotPermitted => "not permitted",
            Self::Authentication => "authentication is needed",
            Self::Unavailable => "unavailable now",
            Self::Integrity => "integrity failure",
            Self::Threshold => "threshold not met",
            Self::Unsafe => "refused for safety",
            Self::Waiting => "waits for approval",
        }
    }
}

/// Why an operation did not do what it was asked; in JSON an RFC 9457 problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "ProblemDetails", from = "ProblemDetails")]
pub struct Failure {
    /// What kind of answer this is.
    pub kind: Kind,
    /// The HTTP status.
    pub status: u16,
    /// A stable word for what happened.
    pub code: Cow<'static, str>,
    /// What failed, in one line.
    pub detail: Box<str>,
    /// Why, where `detail` does not say it all.
    pub reason: Box<str>,
    /// What to do, most useful first.
    pub advice: Vec<String>,
    /// The request, as its audit record names it.
    pub request_id: Option<Box<str>>,
}

/// Why an operation did not do what it was asked: an RFC 9457 problem.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Failure)]
pub(crate) struct ProblemDetails {
    /// `urn:virtengine-kms:` and the code.
    #[serde(rename = "type")]
    uri: String,
    /// The kind in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What failed, in one line.
    detail: String,
    /// A stable word for what happened.
    code: String,
    /// What kind of answer this is.
    kind: Kind,
    /// Why, where `detail` does not say it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    /// What to do, most useful first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    advice: Vec<String>,
    /// The request, as its audit record names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl From<Failure> for ProblemDetails {
    fn from(failure: Failure) -> Self {
        Self {
            uri: format!("urn:virtengine-kms:{}", failure.code),
            title: failure.kind.title().to_owned(),
            status: failure.status,
            detail: failure.detail.into(),
            code: failure.code.into_owned(),
            kind: failure.kind,
            reason: failure.reason.into(),
            advice: failure.advice,
            request_id: failure.request_id.map(String::from),
        }
    }
}

impl From<ProblemDetails> for Failure {
    fn from(problem: ProblemDetails) -> Self {
        Self {
            kind: problem.kind,
            status: problem.status,
            code: problem.code.into(),
            detail: problem.detail.into(),
            reason: problem.reason.into(),
            advice: problem.advice,
            request_id: problem.request_id.map(Box::from),
        }
    }
}

impl Failure {
    /// A failure without a reason or advice yet.
    pub fn new(kind: Kind, code: &'static str, detail: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            status: status(kind, code),
            code: code.into(),
            detail: detail.into(),
            reason: Box::default(),
            advice: Vec::new(),
            request_id: None,
        }
    }

    /// A request that does not make sense.
    pub fn usage(detail: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Usage, "usage", detail)
    }

    /// Adds why.
    #[must_use]
    pub fn because(mut self, reason: impl Into<Box<str>>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Adds one thing to do.
    #[must_use]
    pub fn fix(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// With another HTTP status than its kind's.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// The HTTP status of a failure. What the caller sent wrong is never a 5xx.
fn status(kind: Kind, code: &str) -> u16 {
    match (kind, code) {
        (_, "message_too_long") => 413,
        (_, "locked_out") => 429,
        (_, "public_key_mismatch" | "storage_not_configured") => 422,
        (_, "private_key_elsewhere") => 409,
        (Kind::Usage, _) => 400,
        (Kind::Authentication, _) => 401,
        (Kind::NotPermitted, _) => 403,
        (Kind::NotFound, _) => 404,
        (Kind::Conflict | Kind::Unsafe | Kind::Threshold, _) => 409,
        (Kind::Waiting, _) => 202,
        (Kind::Unavailable, _) => 503,
        (Kind::Other | Kind::Integrity, _) => 500,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Self::new(error.kind().into(), error.code(), error.to_string());
        // A cause that the message does not tell already.
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !failure.detail.contains(&text) && !failure.reason.contains(&text) {
                failure.reason = match &*failure.reason {
                    "" => text.into(),
                    reason => format!("{reason}: {text}").into(),
                };
            }
            cause = inner.source();
        }
        failure.advice = error.advice();
        failure
    }
}

impl From<kms::audit::AuditFault> for Failure {
    fn from(fault: kms::audit::AuditFault) -> Self {
        Error::from(fault).into()
    }
}
