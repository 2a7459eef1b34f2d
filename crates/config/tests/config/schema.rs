//! The JSON Schema says what the loader does.

use looped_config::json_schema;
use looped_core::Part;
use serde_json::Value;

#[test]
fn every_part_and_every_key_is_in_it() {
    let schema = json_schema();
    let definitions = &schema["$defs"];
    for part in Part::all().into_iter().filter(|part| part.kind.is_table()) {
        let forms = definitions[part.kind.name()]["oneOf"].as_array().unwrap();
        let form = forms.iter().find(|form| form["properties"]["type"]["const"] == part.tag).unwrap();
        assert_eq!(form["additionalProperties"], false, "{}", part.tag);
        assert!(form["required"].as_array().unwrap().contains(&"type".into()));
        for (key, property) in
            form["properties"].as_object().unwrap().iter().filter(|(key, _)| *key != "type")
        {
            assert!(property.get("description").is_some(), "{}.{key} has no description", part.tag);
        }
    }
    let training = &definitions["Training"];
    for (key, property) in training["properties"].as_object().unwrap() {
        assert!(property.get("description").is_some(), "training.{key} has no description");
    }
    assert_eq!(training["properties"]["train_steps"]["minimum"], 1);
    assert_eq!(definitions["experiment"]["properties"]["task"]["$ref"], "#/$defs/task");
    assert_eq!(definitions["experiment.partial"]["properties"]["extends"]["type"], "string");
    assert!(definitions["Training.partial"].get("required").is_none());
}

/// A reference that leads nowhere makes an editor drop the whole schema.
#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(keys) => {
                found.extend(keys.get("$ref").and_then(Value::as_str).map(str::to_owned));
                keys.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let schema = json_schema();
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        assert!(schema.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
}
