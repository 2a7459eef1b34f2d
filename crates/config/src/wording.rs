//! Words for values, and for what a schema allows.

use figment::value::{Num, Value};
use looped_core::parts::PART_KEY;
use looped_core::{Kind, Part, nearest};
use serde_json::Value as Schema;

use crate::limits::Limits;

/// Longest text that a message repeats in full.
const LONGEST: usize = 60;

/// A value as a message shows it: `5`, `"many"`, `a table`.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => quoted(text),
        Value::Char(_, c) => quoted(&c.to_string()),
        Value::Bool(_, b) => b.to_string(),
        Value::Num(_, number) => match (integer(*number), number.to_f64()) {
            (Some(n), _) => n.to_string(),
            (None, Some(x)) => float(x),
            (None, None) => "a huge number".to_owned(),
        },
        Value::Empty(..) => "empty".to_owned(),
        Value::Dict(_, table) if table.contains_key("$__toml_private_datetime") => "a date".to_owned(),
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(..) => "a list".to_owned(),
    }
}

/// Text in quotes, escaped and cut to a readable length.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

/// A key as it stands in a path: bare where TOML allows that, else in quotes.
pub(crate) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= LONGEST && name.chars().all(bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// The integer that a number is, if it is one; floats aren't.
pub(crate) fn integer(number: Num) -> Option<i128> {
    match number {
        Num::F32(_) | Num::F64(_) => None,
        // The wider conversions have no narrower ones' numbers.
        _ => number.to_i128().or_else(|| number.to_u128().and_then(|n| i128::try_from(n).ok())),
    }
}

/// A float, whole ones with their `.0`.
pub(crate) fn float(x: f64) -> String {
    format!("{x:?}")
}

/// What a schema asks for: `an integer, 1 to 1000`; `"add" or "multiply"`; `a table that names a block by its type`.
pub(crate) fn expected(schema: &Schema, root: &Schema) -> String {
    let schema = resolve(schema, root);
    if let Some(kind) = part_kind(schema) {
        return format!("a table that names {} by its type: {}", article(kind), tags(kind).join(", "));
    }
    if let Some(allowed) = choices(schema, root) {
        return allowed.iter().map(|choice| quoted(choice)).collect::<Vec<_>>().join(" or ");
    }
    let limits = || Limits::of(schema).words().map_or_else(String::new, |words| format!(", {words}"));
    match types(schema).into_iter().find(|name| *name != "null") {
        Some("integer") => format!("an integer{}", limits()),
        Some("number") => format!("a number{}", limits()),
        Some("string") => "text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("object") => table_of(schema),
        _ => {
            let of_each = |alternative| expected(alternative, root);
            let each: Vec<String> = alternatives(schema).into_iter().map(of_each).collect();
            if each.is_empty() { "a value".to_owned() } else { each.join(", or ") }
        }
    }
}

/// `a table with start, end, inc, interval`: the keys that must be given, or all if none must.
fn table_of(schema: &Schema) -> String {
    let required = schema.get("required").and_then(Schema::as_array);
    let required: Vec<&str> = required.into_iter().flatten().filter_map(Schema::as_str).collect();
    let all = schema.get("properties").and_then(Schema::as_object);
    let all: Vec<&str> = all.into_iter().flat_map(|keys| keys.keys().map(String::as_str)).collect();
    match if required.is_empty() { all } else { required } {
        keys if keys.is_empty() => "a table".to_owned(),
        keys => format!("a table with {}", keys.join(", ")),
    }
}

/// A schema with its reference followed.
pub(crate) fn resolve<'a>(schema: &'a Schema, root: &'a Schema) -> &'a Schema {
    let mut schema = schema;
    // References to references are rare, and a ring of them is none.
    for _ in 0..8 {
        let Some(pointer) = schema.get("$ref").and_then(Schema::as_str).and_then(|to| to.strip_prefix('#'))
        else {
            break;
        };
        match root.pointer(pointer) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

/// The JSON types that a schema allows; none if it doesn't say.
pub(crate) fn types(schema: &Schema) -> Vec<&str> {
    match schema.get("type") {
        Some(Schema::String(name)) => vec![name],
        Some(Schema::Array(names)) => names.iter().filter_map(Schema::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The alternatives of a schema that has some, without `null`.
pub(crate) fn alternatives(schema: &Schema) -> Vec<&Schema> {
    let list = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Schema::as_array);
    list.into_iter().flatten().filter(|alternative| types(alternative) != ["null"]).collect()
}

/// The words that a schema allows, if it allows a few words only.
pub(crate) fn choices<'a>(schema: &'a Schema, root: &'a Schema) -> Option<Vec<&'a str>> {
    let schema = resolve(schema, root);
    if let Some(word) = schema.get("const") {
        return word.as_str().map(|word| vec![word]);
    }
    if let Some(words) = schema.get("enum").and_then(Schema::as_array) {
        return Some(words.iter().filter_map(Schema::as_str).collect());
    }
    let alternatives = alternatives(schema);
    let each: Option<Vec<Vec<&str>>> =
        alternatives.iter().map(|alternative| choices(alternative, root)).collect();
    each.map(|each| each.concat()).filter(|words| !words.is_empty())
}

/// The kind of part whose place a schema marks.
pub(crate) fn part_kind(schema: &Schema) -> Option<Kind> {
    schema.get(PART_KEY).and_then(Schema::as_str).and_then(Kind::from_name)
}

/// The tags of all linked parts of a kind.
pub(crate) fn tags(kind: Kind) -> Vec<&'static str> {
    Part::of(kind).into_iter().map(|part| part.tag).collect()
}

/// `a block`, `an injector`.
pub(crate) fn article(kind: Kind) -> String {
    let name = kind.name();
    format!("{} {name}", if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" })
}

/// `; did you mean X? Allowed: ...`, or without the question where nothing is near.
pub(crate) fn suggest(unknown: &str, allowed: &[&str]) -> String {
    advise(nearest(unknown, allowed.iter().copied()), allowed)
}

/// The same where it is known what is meant.
pub(crate) fn advise(meant: Option<&str>, allowed: &[&str]) -> String {
    let all = allowed.join(", ");
    match meant {
        Some(name) => format!("; did you mean {name}? Allowed: {all}"),
        None => format!("; allowed: {all}"),
    }
}
