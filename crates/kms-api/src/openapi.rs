//! The OpenAPI document, from the operations themselves.

use std::collections::BTreeMap;

use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::ComponentsBuilder;
use utoipa::openapi::ContentBuilder;
use utoipa::openapi::HttpMethod;
use utoipa::openapi::InfoBuilder;
use utoipa::openapi::OpenApi;
use utoipa::openapi::OpenApiBuilder;
use utoipa::openapi::PathsBuilder;
use utoipa::openapi::Ref;
use utoipa::openapi::RefOr;
use utoipa::openapi::Required;
use utoipa::openapi::ResponseBuilder;
use utoipa::openapi::Schema;
use utoipa::openapi::path::OperationBuilder;
use utoipa::openapi::path::ParameterBuilder;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::HttpAuthScheme;
use utoipa::openapi::security::HttpBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::security::SecurityScheme;

use crate::Done;
use crate::Effect;
use crate::LoggedIn;
use crate::Login;
use crate::Method;
use crate::Named;
use crate::Operation;
use crate::Visitor;
use crate::every;
use crate::failure::ProblemDetails;
use crate::schema;

/// The document.
pub fn document() -> OpenApi {
    let mut writer = Writer::default();
    every(&mut writer);
    writer.login();
    writer.logout();
    writer.export();
    let schemas = writer.schemas.into_iter();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("session", SecurityScheme::Http(bearer))
        .build();
    let info = InfoBuilder::new()
        .title("VirtEngine KMS")
        .version("1")
        .description(Some(
            "Every answer carries x-request-id, which stands in the audit record of the request. \
             Errors are problem details (RFC 9457). Lists come in pages; the header link names the \
             next one.",
        ))
        .build();
    OpenApiBuilder::new().info(info).paths(writer.paths).components(Some(components)).build()
}

#[derive(Default)]
struct Writer {
    paths: PathsBuilder,
    schemas: BTreeMap<String, RefOr<Schema>>,
}

impl Visitor for Writer {
    fn operation<O: Operation>(&mut self) {
        let mut operation = OperationBuilder::new()
            .operation_id(Some(O::NAME.replace('.', "_")))
            .summary(Some(O::ABOUT))
            .description(O::NEEDS.map(|needs| format!("Needs `{needs}`.")))
            .tag(O::NAME.split('.').next().unwrap_or(O::NAME))
            .security(SecurityRequirement::new("session", Vec::<String>::new()));
        if let Some(parameter) = O::On::PARAMETER {
            let schema = parameter_schema(parameter);
            operation = operation.parameter(path_parameter(parameter, schema));
        }
        if O::EFFECT == Effect::Creates {
            operation = operation.parameter(idempotency_key());
        }
        if O::METHOD.has_body() {
            let content = ContentBuilder::new().schema(Some(self.named::<O>())).build();
            let body = RequestBodyBuilder::new().content("application/json", content);
            operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
        } else {
            for parameter in query::<O>() {
                operation = operation.parameter(parameter);
            }
        }
        let answer = ContentBuilder::new().schema(Some(self.answer::<O::Answer>())).build();
        self.add(O::ROUTE, O::METHOD, operation, ("application/json", answer));
    }
}

impl Writer {
    /// The schema by its name, and in the list of all.
    fn named<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = T::name().into_owned();
        let mut used = Vec::new();
        T::schemas(&mut used);
        self.schemas.extend(used);
        self.schemas.insert(name.clone(), T::schema());
        Ref::from_schema_name(name).into()
    }

    /// An answer's schema; lists and maps have no name of their own.
    fn answer<T: ToSchema>(&mut self) -> RefOr<Schema> {
        match T::schema() {
            RefOr::T(Schema::Object(object)) if !object.properties.is_empty() => self.named::<T>(),
            schema => {
                if T::name() == Done::name() {
                    return self.named::<T>();
                }
                let mut used = Vec::new();
                T::schemas(&mut used);
                self.schemas.extend(used);
                schema
            }
        }
    }

    fn add(
        &mut self,
        route: &str,
        method: Method,
        operation: OperationBuilder,
        (kind, answer): (&str, utoipa::openapi::Content),
    ) {
        let failure = ContentBuilder::new().schema(Some(self.named::<ProblemDetails>())).build();
        let failed = ResponseBuilder::new()
            .description("It was not done; why, as a problem (RFC 9457).")
            .content("application/problem+json", failure);
        let ok = ResponseBuilder::new().description("Done, and on record.").content(kind, answer);
        let operation = operation.response("200", ok).response("default", failed).build();
        let method = match method {
            Method::Get => HttpMethod::Get,
            Method::Post => HttpMethod::Post,
            Method::Put => HttpMethod::Put,
            Method::Delete => HttpMethod::Delete,
        };
        let paths = std::mem::take(&mut self.paths);
        self.paths = paths.path(route, PathItem::new(method, operation));
    }

    fn login(&mut self) {
        let content = ContentBuilder::new().schema(Some(self.named::<Login>())).build();
        let body = RequestBodyBuilder::new().content("application/json", content);
        let operation = OperationBuilder::new()
            .operation_id(Some("sessions_begin"))
            .summary(Some("Log in: begin a session"))
            .description(Some("Needs no session."))
            .tag("sessions")
            .request_body(Some(body.required(Some(Required::True)).build()));
        let answer = ContentBuilder::new().schema(Some(self.named::<LoggedIn>())).build();
        self.add("/v1/sessions", Method::Post, operation, ("application/json", answer));
    }

    fn logout(&mut self) {
        let operation = OperationBuilder::new()
            .operation_id(Some("self_logout"))
            .summary(Some("Log out: end your session"))
            .tag("self")
            .security(SecurityRequirement::new("session", Vec::<String>::new()));
        let answer = ContentBuilder::new().schema(Some(self.named::<Done>())).build();
        self.add("/v1/self/session", Method::Delete, operation, ("application/json", answer));
    }

    fn export(&mut self) {
        let form = utoipa::openapi::ObjectBuilder::new().enum_values(Some(["jsonl", "csv"]));
        let format = ParameterBuilder::new()
            .name("format")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .schema(Some(form));
        let operation = OperationBuilder::new()
            .operation_id(Some("audit_export"))
            .summary(Some("Take out all records: the lines of the log, or a table"))
            .description(Some("Needs `audit:export`."))
            .tag("audit")
            .parameter(format)
            .security(SecurityRequirement::new("session", Vec::<String>::new()));
        let answer = ContentBuilder::new().schema(Some(String::schema())).build();
        self.add("/v1/audit/export", Method::Get, operation, ("application/jsonl", answer));
    }
}

fn path_parameter(name: &str, schema: RefOr<Schema>) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(schema))
}

fn parameter_schema(parameter: &str) -> RefOr<Schema> {
    match parameter {
        "key" => schema::KeyRefText::schema(),
        "role" => schema::RoleNameText::schema(),
        "session" => schema::TagText::schema(),
        "permission" => schema::PermissionName::schema(),
        _ => schema::LabelText::schema(),
    }
}

fn idempotency_key() -> ParameterBuilder {
    let text = utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .max_length(Some(128));
    ParameterBuilder::new()
        .name("idempotency-key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("Asked for again under the same key, it is done once."))
        .schema(Some(text))
}

/// The fields of an operation that travels as a query.
fn query<O: Operation>() -> Vec<ParameterBuilder> {
    let RefOr::T(Schema::Object(object)) = O::schema() else { return Vec::new() };
    let required = object.required;
    let parameter = |(name, schema): (String, RefOr<Schema>)| {
        let needed = if required.contains(&name) { Required::True } else { Required::False };
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(needed)
            .schema(Some(schema))
    };
    object.properties.into_iter().map(parameter).collect()
}
