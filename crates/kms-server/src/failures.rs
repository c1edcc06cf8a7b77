//! What the network itself refuses; everything else comes from the library.

use kms_api::Failure;
use kms_api::Kind;

/// No session was shown.
pub(crate) fn no_session() -> Failure {
    let failure = Failure::new(Kind::Authentication, "session_missing", "no session was shown");
    failure.fix("log in: POST /v1/sessions, then Authorization: Bearer SESSION")
}

/// There is no such place.
pub(crate) fn no_route() -> Failure {
    Failure::new(Kind::NotFound, "route_not_found", "there is nothing at this path")
        .fix("see what there is: /openapi.json")
}

/// The place is there, the method is not.
pub(crate) fn no_method() -> Failure {
    Failure::new(Kind::Usage, "method_not_allowed", "this path has no such method").with_status(405)
}

/// A body of another kind.
pub(crate) fn not_json() -> Failure {
    Failure::new(Kind::Usage, "media_type", "the body is not application/json").with_status(415)
}

/// A body that is too long.
pub(crate) fn body_too_long(limit: usize) -> Failure {
    let detail = format!("the body is longer than {limit} bytes");
    Failure::new(Kind::Usage, "body_too_long", detail).with_status(413)
}

/// A body that did not come.
pub(crate) fn body_cut_off() -> Failure {
    Failure::new(Kind::Usage, "body_cut_off", "the body ended early or took too long")
        .with_status(408)
}

/// A body or a query that cannot be read.
pub(crate) fn unreadable(what: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Kind::Usage, "request_invalid", format!("the {what} cannot be read"))
        .because(why.to_string())
}

/// Too much from one caller.
pub(crate) fn too_fast() -> Failure {
    Failure::new(Kind::Unavailable, "rate_limited", "too many requests from here; slow down")
        .with_status(429)
}

/// Too much from everyone.
pub(crate) fn overloaded() -> Failure {
    Failure::new(Kind::Unavailable, "overloaded", "too much is waiting already; try again")
}

/// The program is wrong; its journal says where.
pub(crate) fn broken() -> Failure {
    Failure::new(Kind::Other, "internal", "the request could not be carried out")
}
