//! Sessions: beginning one, seeing and ending them, and asking what one may.

use std::borrow::Cow;
use std::net::IpAddr;

use kms::access::Permission;
use kms::access::PrincipalName;
use kms::access::Session;
use kms::access::SessionTag;
use kms::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::Schema;

use crate::Desk;
use crate::Done;
use crate::Failure;
use crate::Kind;
use crate::Method;
use crate::Operation;
use crate::Secret;
use crate::Unnamed;
use crate::schema::LabelText;
use crate::schema::Moment;
use crate::schema::PrincipalIdText;
use crate::schema::TagText;

/// What a principal shows to begin a session: `POST /v1/sessions`. No [`Operation`], since there is
/// no session to call it with.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Who; the only administrator if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<LabelText>)]
    pub principal: Option<PrincipalName>,
    /// The passphrase. Absent: what the connection shows counts in its place, the user on the local
    /// socket or the certificate over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Secret>,
    /// The second factor: six digits, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_code: Option<Secret>,
    /// Whether any program may show the session, not only the one that asked for it.
    #[serde(default)]
    pub any_agent: bool,
}

/// A session that has begun.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedIn {
    /// What is shown on each call: `Authorization: Bearer …`.
    pub session: Secret,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Who began it.
    pub principal: PrincipalName,
}

/// How a session that has begun looks in JSON.
#[derive(Serialize, ToSchema)]
struct LoggedInShape {
    /// What is shown on each call: `Authorization: Bearer …`.
    session: String,
    /// When it ends at the latest.
    #[schema(value_type = Moment)]
    expires_at: Timestamp,
    /// Who began it.
    #[schema(value_type = LabelText)]
    principal: String,
}

impl PartialSchema for LoggedIn {
    fn schema() -> RefOr<Schema> {
        LoggedInShape::schema()
    }
}

impl ToSchema for LoggedIn {
    fn name() -> Cow<'static, str> {
        "LoggedIn".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        LoggedInShape::schemas(schemas);
    }
}

/// A session as programs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionView {
    /// Its tag, which opens nothing.
    #[schema(value_type = TagText)]
    pub session: String,
    /// Whose it is.
    #[schema(value_type = PrincipalIdText)]
    pub principal: String,
    /// When it began.
    #[schema(value_type = Moment)]
    pub created_at: Timestamp,
    /// When it was last used.
    #[schema(value_type = Moment)]
    pub last_activity: Timestamp,
    /// When its second factor was given.
    #[schema(value_type = Option<Moment>)]
    pub mfa_at: Option<Timestamp>,
    /// The address it was given to; absent on the local socket.
    #[schema(value_type = Option<String>)]
    pub source_ip: Option<IpAddr>,
    /// What its client calls itself.
    pub user_agent: String,
}

impl SessionView {
    fn of(session: &Session) -> Self {
        Self {
            session: session.tag().to_string(),
            principal: session.principal().to_string(),
            created_at: session.created_at(),
            last_activity: session.last_activity(),
            mfa_at: session.mfa_at(),
            source_ip: session.address(),
            user_agent: session.user_agent().to_owned(),
        }
    }
}

/// Lists the sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSessions {}

impl Operation for ListSessions {
    type On = Unnamed;
    type Answer = Vec<SessionView>;
    const NAME: &'static str = "sessions.list";
    const ABOUT: &'static str = "List the sessions";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/sessions";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, _: Unnamed, desk: &Desk<'_>) -> Result<Vec<SessionView>, Failure> {
        let sessions = desk.kms.access(desk.caller).sessions()?;
        Ok(sessions.iter().map(|session| SessionView::of(session)).collect())
    }
}

/// Ends a session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndSession {}

impl Operation for EndSession {
    type On = SessionTag;
    type Answer = Done;
    const NAME: &'static str = "sessions.end";
    const ABOUT: &'static str = "End a session";
    const METHOD: Method = Method::Delete;
    const ROUTE: &'static str = "/v1/sessions/{session}";
    const NEEDS: Option<Permission> = Some(Permission::AccessManage);

    fn carry_out(self, tag: SessionTag, desk: &Desk<'_>) -> Result<Done, Failure> {
        let access = desk.kms.access(desk.caller);
        if !access.sessions()?.iter().any(|session| session.tag() == tag) {
            let detail = format!("session {tag} is not here, or has ended");
            return Err(Failure::new(Kind::NotFound, "session_not_found", detail)
                .fix("see what is there: virtengine session list"));
        }
        access.end_session(tag)?;
        Ok(Done {})
    }
}

/// Asks whether the caller holds a permission, for some keys at least.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckPermission {}

impl Operation for CheckPermission {
    type On = Permission;
    type Answer = Done;
    const NAME: &'static str = "self.check_permission";
    const ABOUT: &'static str = "Ask whether you hold a permission; 403 if not";
    const METHOD: Method = Method::Get;
    const ROUTE: &'static str = "/v1/self/permissions/{permission}";
    const NEEDS: Option<Permission> = None;

    fn carry_out(self, permission: Permission, desk: &Desk<'_>) -> Result<Done, Failure> {
        desk.kms.access(desk.caller).check_permission(permission)?;
        Ok(Done {})
    }
}
