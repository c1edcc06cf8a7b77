//! What the names of the model look like in OpenAPI: one schema each, from the names themselves.

use std::borrow::Cow;

use kms::access::Permission;
use kms::audit::EventType;
use kms::key::Algorithm;
use kms::key::KeyState;
use kms::key::Purpose;
use kms::multisig::ActKind;
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::RefOr;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::Type;

/// A text that is one of a closed list.
macro_rules! one_of {
    ($($name:ident = $about:literal, $names:expr;)+) => {$(
        #[doc = $about]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let names: Vec<&'static str> = $names;
                let text = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
                text.description(Some($about)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+};
}

/// A text of a certain form.
macro_rules! like {
    ($($name:ident = $about:literal, $pattern:literal, $longest:literal;)+) => {$(
        #[doc = $about]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String);
                let text = text.pattern(Some($pattern)).max_length(Some($longest));
                text.description(Some($about)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+};
}

one_of! {
    AlgorithmName = "A signature algorithm.", Algorithm::ALL.into_iter().map(Algorithm::name).collect();
    PurposeName = "What a key is for.", Purpose::ALL.into_iter().map(Purpose::name).collect();
    StateName = "A state of a key.", KeyState::ALL.into_iter().map(KeyState::name).collect();
    PermissionName = "A permission.", Permission::ALL.into_iter().map(Permission::name).collect();
    EventName = "What a record tells of.", EventType::ALL.iter().map(|e| e.name()).collect();
    ActName = "An act that can be made to wait for an approval.", ActKind::ALL.into_iter().map(|act| act.name()).collect();
    OriginName = "Where a private half came from.", vec!["generated", "imported", "registered"];
    KindName = "A person or a program.", vec!["user", "service"];
}

like! {
    LabelText = "A name of keys or principals: letters, digits, space and . _ - @ +.",
        "^[A-Za-z0-9]([A-Za-z0-9 ._@+-]{0,62}[A-Za-z0-9._@+-])?$", 64;
    KeyRefText = "A key's label or id.",
        "^[A-Za-z0-9]([A-Za-z0-9 ._@+-]{0,62}[A-Za-z0-9._@+-])?$", 64;
    KeyIdText = "A key's id, one key for ever.", "^k-[0-9a-f]{32}$", 34;
    PrincipalIdText = "A principal's id.", "^p-[0-9a-f]{16}$", 18;
    AttestationText = "What a connection shows.", "^(uid:(0|[1-9][0-9]{0,9})|cert:[0-9a-f]{64})$", 69;
    RoleNameText = "A role's name.", "^[a-z][a-z0-9_-]{0,31}$", 32;
    TagText = "A session's tag; opens nothing.", "^[0-9a-f]{16}$", 16;
    ReasonText = "Why; goes on record.", "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$", 500;
    ChainIdText = "A chain's id.", "^[!-~]+$", 50;
    StorageText = "Where a private half lives: file, memory or hsm:NAME.",
        "^(file|memory|offline|hsm:.+)$", 68;
    Base64 = "Bytes as base64 with padding.",
        "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", 24_000_000;
}

/// A moment, RFC 3339 UTC.
pub(crate) struct Moment;

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        use utoipa::openapi::schema::KnownFormat;
        use utoipa::openapi::schema::SchemaFormat;
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for Moment {
    fn name() -> Cow<'static, str> {
        "Moment".into()
    }
}
