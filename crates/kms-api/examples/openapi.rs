//! Prints the OpenAPI document: `cargo run -p kms-api --example openapi > docs/openapi.json`.

fn main() -> Result<(), serde_json::Error> {
    println!("{}", serde_json::to_string_pretty(&kms_api::document())?);
    Ok(())
}
