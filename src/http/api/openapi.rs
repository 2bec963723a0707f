//! `openapi.json` (OpenAPI 3.1): printed from the endpoints that requests are checked against.

use serde_json::{Map, Value, json};

use super::endpoint::{Endpoint, Field, FieldKind, Shape};
use super::parameter::{Parameter, ParameterKind, Times};
use crate::http::request::Method;
use crate::http::response::{JSON, NDJSON, PROBLEM_JSON};

/// The type of server-sent events.
const EVENTS: &str = "text/event-stream";

/// Returns the description of these endpoints, below this path.
pub(super) fn document(endpoints: impl Iterator<Item = &'static Endpoint>, root: &str) -> Value {
    let mut paths = Map::new();
    for endpoint in endpoints {
        let at_path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        at_path[endpoint.method.name().to_ascii_lowercase()] = operation(endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "rib-ingester",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Routes, peers and their history, as routers report them by BMP.",
        },
        "servers": [{ "url": root }],
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": { "problem": {
                "description": "The request is not answered, and why.",
                "content": { PROBLEM_JSON: { "schema": { "$ref": "#/components/schemas/problem" } } },
            } },
            "schemas": { "problem": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": { "type": "string" },
                    "title": { "type": "string" },
                    "status": { "type": "integer" },
                    "detail": { "type": "string", "description": "One sentence." },
                },
            } },
        },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let of_path = endpoint.path_parameters().map(
        |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }),
    );
    let parameters: Vec<Value> = of_path.chain(endpoint.parameters.iter().map(parameter)).collect();
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": format!("{}.", endpoint.summary),
        "parameters": parameters,
        "responses": {
            "200": { "description": "The answer.", "content": content(endpoint) },
            "default": { "$ref": "#/components/responses/problem" },
        },
    });
    if endpoint.method != Method::Get {
        operation["security"] = json!([{ "token": [] }]);
    }
    if !endpoint.body.is_empty() {
        operation["requestBody"] = json!({ "content": { JSON: { "schema": object(endpoint.body) } } });
    }
    operation
}

/// Returns a name such as `getRoutersRouter`.
fn operation_id(endpoint: &Endpoint) -> String {
    let words = endpoint.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capitalized = words.map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + rest
    });
    endpoint.method.name().to_ascii_lowercase() + &capitalized.collect::<String>()
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        ParameterKind::Text => json!({ "type": "string", "minLength": 1 }),
        ParameterKind::Asn => json!({ "type": "string", "pattern": "^([Aa][Ss])?[0-9]{1,10}$" }),
        ParameterKind::Prefix => json!({ "type": "string", "pattern": "^[0-9a-fA-F.:/]+$" }),
        ParameterKind::Address => json!({ "type": "string", "pattern": "^[0-9a-fA-F.:]+$" }),
        ParameterKind::Community => json!({ "type": "string", "pattern": "^[0-9a-zA-Z.:]+$" }),
        ParameterKind::Path => json!({ "type": "string", "pattern": "^[0-9?*{},\\[\\]() ]+$" }),
        ParameterKind::Time => json!({ "type": "string", "format": "date-time" }),
        ParameterKind::Number(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        ParameterKind::OneOf(words) => json!({ "type": "string", "enum": words }),
    };
    let schema = match parameter.times {
        Times::Repeated => json!({ "type": "array", "items": schema }),
        Times::Optional | Times::Required => schema,
    };
    json!({
        "name": parameter.name,
        "in": "query",
        "required": parameter.times == Times::Required,
        "description": format!("{}.", parameter.about),
        "schema": schema,
    })
}

fn content(endpoint: &Endpoint) -> Value {
    match &endpoint.shape {
        Shape::Object(fields) => json!({ JSON: { "schema": object(fields) } }),
        Shape::List(rows, members) => {
            let mut whole = object(members);
            whole["properties"]["rows"] = json!({ "type": "array", "items": object(rows) });
            whole["properties"]["truncated"] =
                json!({ "type": "boolean", "description": "True if there are more rows." });
            whole["properties"]["next"] = json!({
                "type": ["string", "null"],
                "description": "The parameter `next` of the next page; null where there is none, or the list has no pages.",
            });
            if let Value::Array(names) = &mut whole["required"] {
                names.extend(["rows", "truncated", "next"].map(Value::from));
            }
            let mut content = json!({ JSON: { "schema": whole } });
            if endpoint.has_lines {
                content[NDJSON] = json!({ "schema": object(rows) });
            }
            content
        }
        Shape::Events => json!({ EVENTS: { "schema": { "type": "string" } } }),
        Shape::Document => json!({ JSON: { "schema": { "type": "object" } } }),
    }
}

fn object(fields: &[Field]) -> Value {
    let properties: Map<String, Value> = fields.iter().map(|field| (field.name.to_owned(), property(field))).collect();
    let required: Vec<&str> = fields.iter().filter(|field| !field.is_nullable).map(|field| field.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn property(field: &Field) -> Value {
    let mut schema = match field.kind {
        FieldKind::Text => json!({ "type": "string" }),
        FieldKind::Integer => json!({ "type": "integer" }),
        FieldKind::Boolean => json!({ "type": "boolean" }),
        FieldKind::Time => json!({ "type": "string", "format": "date-time" }),
        FieldKind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        FieldKind::Integers => json!({ "type": "array", "items": { "type": "integer" } }),
        FieldKind::Json => json!({}),
        FieldKind::Objects(fields) => json!({ "type": "array", "items": object(fields) }),
    };
    if field.is_nullable
        && let Some(kind) = schema.get("type").cloned()
    {
        schema["type"] = json!([kind, "null"]);
    }
    schema["description"] = json!(format!("{}.", field.about));
    schema
}
