//! The JSON Schema of the experiment file, for editors: what [`check`](crate::check) knows, in one document.
//!
//! Places of parts become a choice among all that are linked, told apart by `type`. A file that `extends` another may
//! leave out anything, so every table has two forms: complete, and partial with nothing required.

use looped_core::parts::PART_KEY;
use looped_core::{Kind, Part};
use schemars::schema_for;
use serde_json::{Map, Value, json};

use crate::Experiment;
use crate::check::is_composite;

/// The JSON Schema (draft 2020-12) of an experiment file, with every part that is linked into the program.
#[must_use]
pub fn json_schema() -> Value {
    let mut definitions = Map::new();
    let experiment = schema_for!(Experiment).to_value();
    let complete = adopt(experiment, "", &mut definitions);
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_table()) {
        let forms: Vec<Value> = Part::of(kind).into_iter().map(|part| form(part, &mut definitions)).collect();
        // A choice among none is no schema; nothing fits where no part is linked.
        let choice = if forms.is_empty() { json!({ "not": {} }) } else { json!({ "oneOf": forms }) };
        definitions.insert(kind.name().to_owned(), choice);
    }
    let partials: Vec<(String, Value)> = definitions
        .iter()
        .map(|(name, schema)| (format!("{name}.partial"), partial(schema.clone())))
        .collect();
    definitions.extend(partials);
    definitions.insert("experiment".to_owned(), complete.clone());
    definitions.insert("experiment.partial".to_owned(), partial(complete));
    definitions["experiment.partial"]["properties"]["extends"] = json!({
        "type": "string",
        "description": "A file whose keys hold where this one doesn't set them; relative to this file.",
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "looped experiment",
        "description": "What is learnt, by which looped model, how it's trained and how it's judged.",
        "$ref": "#/$defs/experiment.partial",
        "if": { "not": { "required": ["extends"] } },
        "then": { "$ref": "#/$defs/experiment" },
        "$defs": definitions,
    })
}

/// One part as a form of its kind: its own schema, and its `type`.
fn form(part: &Part, definitions: &mut Map<String, Value>) -> Value {
    let own = (part.schema)().to_value();
    let closed = !is_composite(&own);
    let adopted = adopt(own, &format!("{}.{}.", part.kind.name(), part.tag), definitions);
    let mut form =
        Map::from_iter([("title".to_owned(), json!(part.tag)), ("type".to_owned(), json!("object"))]);
    let mut properties = Map::from_iter([("type".to_owned(), json!({ "const": part.tag }))]);
    let mut required = vec![json!("type")];
    for (key, value) in adopted.as_object().cloned().unwrap_or_default() {
        match (key.as_str(), value) {
            ("properties", Value::Object(own)) => properties.extend(own),
            ("required", Value::Array(own)) => required.extend(own),
            ("title" | "type", _) => {}
            (_, value) => {
                form.insert(key, value);
            }
        }
    }
    form.insert("properties".to_owned(), Value::Object(properties));
    form.insert("required".to_owned(), Value::Array(required));
    if closed && !form.contains_key("additionalProperties") {
        form.insert("additionalProperties".to_owned(), json!(false));
    }
    Value::Object(form)
}

/// A schema as part of the document: its definitions move there, named below `prefix`, and places of parts point there.
fn adopt(mut schema: Value, prefix: &str, definitions: &mut Map<String, Value>) -> Value {
    if let Some(Value::Object(own)) = schema.as_object_mut().and_then(|schema| schema.remove("$defs")) {
        for (name, definition) in own {
            definitions.insert(format!("{prefix}{name}"), rewrite(definition, prefix));
        }
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
    }
    rewrite(schema, prefix)
}

fn rewrite(schema: Value, prefix: &str) -> Value {
    match schema {
        Value::Object(mut keys) => {
            if let Some(Value::String(kind)) = keys.remove(PART_KEY) {
                keys.remove("type");
                keys.insert("$ref".to_owned(), json!(format!("#/$defs/{kind}")));
                return Value::Object(keys);
            }
            let rewritten = keys.into_iter().map(|(key, value)| match (key.as_str(), &value) {
                // A table inside a table of its own form: the document has no name for it, so it isn't looked into.
                ("$ref", Value::String(to)) if to == "#" => {
                    ("$comment".to_owned(), json!("the same form again"))
                }
                ("$ref", Value::String(to)) => {
                    let name = to.rsplit('/').next().unwrap_or_default();
                    let to = format!("#/$defs/{prefix}{name}");
                    (key, json!(to))
                }
                _ => (key, rewrite(value, prefix)),
            });
            Value::Object(rewritten.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| rewrite(item, prefix)).collect()),
        other => other,
    }
}

/// The same tables with nothing required; lists are set as a whole, so what is in them stays complete.
fn partial(schema: Value) -> Value {
    let Value::Object(keys) = schema else { return schema };
    let relaxed = keys.into_iter().filter(|(key, _)| key != "required").map(|(key, value)| {
        match (key.as_str(), value) {
            ("$ref", Value::String(to)) => (key, json!(format!("{to}.partial"))),
            // Without its `type`, a table may fit several parts.
            ("oneOf" | "anyOf", Value::Array(forms)) => {
                ("anyOf".to_owned(), Value::Array(forms.into_iter().map(partial).collect()))
            }
            ("properties", Value::Object(properties)) => {
                (key, properties.into_iter().map(|(name, value)| (name, partial(value))).collect())
            }
            (_, value) => (key, value),
        }
    });
    Value::Object(relaxed.collect())
}
