//! The OpenAPI document is the one that is checked in, and says of every operation what it must.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "all of this crate is tests, also the functions beside them"
)]

use std::collections::BTreeSet;

use kms_api::Named;
use kms_api::Operation;
use kms_api::Visitor;
use kms_api::every;
use serde_json::Value;

fn document() -> Value {
    serde_json::to_value(kms_api::document()).unwrap()
}

#[test]
fn openapi_is_the_checked_in_one() {
    let text = include_str!("../../../../docs/openapi.json");
    let checked_in: Value = serde_json::from_str(text).unwrap();
    assert!(
        checked_in == document(),
        "docs/openapi.json is not what the code says: \
         cargo run -p kms-api --example openapi > docs/openapi.json"
    );
}

/// Looks at each operation beside the document.
struct Reader {
    document: Value,
    names: BTreeSet<&'static str>,
    places: BTreeSet<(&'static str, &'static str)>,
}

impl Visitor for Reader {
    fn operation<O: Operation>(&mut self) {
        assert!(self.names.insert(O::NAME), "{} is there twice", O::NAME);
        assert!(self.places.insert((O::METHOD.name(), O::ROUTE)), "{} is taken", O::ROUTE);
        let method = O::METHOD.name().to_ascii_lowercase();
        let operation = &self.document["paths"][O::ROUTE][&*method];
        assert_eq!(operation["operationId"], O::NAME.replace('.', "_"), "{}", O::NAME);
        assert_eq!(operation["summary"], O::ABOUT);
        assert_eq!(operation["requestBody"].is_object(), O::METHOD.has_body(), "{}", O::NAME);
        assert!(operation["security"][0]["session"].is_array(), "{} needs a session", O::NAME);
        let named = O::On::PARAMETER.map(|parameter| format!("{{{parameter}}}"));
        let placeholder = O::ROUTE.find('{').map(|at| &O::ROUTE[at..]);
        let placeholder = placeholder.and_then(|rest| rest.split('/').next());
        assert_eq!(placeholder, named.as_deref(), "{} names what its path names", O::NAME);
    }
}

#[test]
fn every_operation_stands_in_the_document_once() {
    let mut reader =
        Reader { document: document(), names: BTreeSet::new(), places: BTreeSet::new() };
    every(&mut reader);
    assert!(reader.names.len() > 50, "{} operations", reader.names.len());
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap_or_default();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is missing");
    }
}
