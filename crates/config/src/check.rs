//! Checks a tree of values against a schema, before serde does: serde stops at the first problem, this finds all.
//!
//! The schema is the one schemars derives. Where it marks the place of a part, the value's `type` picks one from the
//! register, and the part's own schema holds from there on. Tables are closed: a key that the schema doesn't know is a problem.

use figment::value::{Dict, Value};
use looped_core::{Kind, Part, Problems};
use serde_json::{Map, Value as Schema};

use crate::limits::Limits;
use crate::suggest::{all_keys, meant_key};
use crate::wording::{
    advise, alternatives, article, choices, expected, integer, key, part_kind, quoted, resolve, shown,
    suggest, tags, types,
};

/// Reports everything in which `value` differs from `schema`.
pub(crate) fn check(value: &Value, schema: &Schema, problems: &mut Problems) {
    Checker { root: schema, whole: (value, schema), problems }.value(value, schema);
}

struct Checker<'a> {
    /// Where `$ref` looks.
    root: &'a Schema,
    /// All that is checked: a key may be one of another table.
    whole: (&'a Value, &'a Schema),
    problems: &'a mut Problems,
}

impl Checker<'_> {
    fn value(&mut self, value: &Value, schema: &Schema) {
        let schema = resolve(schema, self.root);
        if matches!(value, Value::Empty(..)) && allows_nothing(schema) {
            return;
        }
        if let Some(kind) = part_kind(schema) {
            return self.part(value, kind, schema);
        }
        if let Some(words) = choices(schema, self.root) {
            return self.word(value, &words, schema);
        }
        let alternatives = alternatives(schema);
        if !alternatives.is_empty() && schema.get("properties").is_none() {
            return self.one_of(value, &alternatives, schema);
        }
        let types = types(schema);
        if types.is_empty() {
            // A schema that asks for no type, as of a key that holds anything.
            return;
        }
        let allowed = |name: &str| types.contains(&name);
        match value {
            Value::Dict(_, table) if allowed("object") => self.table(table, schema, None),
            Value::Array(_, items) if allowed("array") => self.list(items, schema),
            Value::String(_, text) if allowed("string") => self.text(text, schema),
            Value::Char(_, c) if allowed("string") => self.text(&c.to_string(), schema),
            Value::Bool(..) if allowed("boolean") => {}
            Value::Num(_, number) => match (integer(*number), number.to_f64()) {
                (Some(n), _) if allowed("integer") || allowed("number") => self.integer(n, schema),
                (None, Some(x)) if allowed("number") => self.number(x, schema),
                _ => self.wrong(value, schema),
            },
            _ => self.wrong(value, schema),
        }
    }

    fn wrong(&mut self, value: &Value, schema: &Schema) {
        let whole = match value {
            Value::Num(_, number) => number.to_f64().filter(|x| x.fract() == 0.0 && x.abs() < 1e15),
            _ => None,
        };
        let advice = whole.filter(|_| types(schema).contains(&"integer"));
        let advice = advice.map_or_else(String::new, |x| format!("; write {x}"));
        let message = format!("is {}, expected {}{advice}", shown(value), expected(schema, self.root));
        self.problems.report("", message);
    }

    fn integer(&mut self, n: i128, schema: &Schema) {
        let limits = Limits::of(schema);
        if !limits.allow(n as f64) {
            self.out_of_range(&n.to_string(), limits);
        } else if i64::try_from(n).is_err() {
            self.problems
                .report("", format!("is {n}; allowed: at most {}, the largest integer of TOML", i64::MAX));
        }
    }

    fn number(&mut self, x: f64, schema: &Schema) {
        let limits = Limits::of(schema);
        if !x.is_finite() || !limits.allow(x) {
            self.out_of_range(&x.to_string(), limits);
        }
    }

    fn out_of_range(&mut self, number: &str, limits: Limits) {
        let words = limits.words().unwrap_or_else(|| "any finite number".to_owned());
        self.problems.report("", format!("is {number}; allowed: {words}"));
    }

    fn text(&mut self, text: &str, schema: &Schema) {
        let size = |key: &str| schema.get(key).and_then(Schema::as_u64);
        let length = text.chars().count() as u64;
        if let Some(least) = size("minLength").filter(|&least| length < least) {
            self.problems.report("", format!("is {}; needed: at least {least} characters", quoted(text)));
        }
        if let Some(most) = size("maxLength").filter(|&most| length > most) {
            self.problems.report("", format!("is {}; allowed: at most {most} characters", quoted(text)));
        }
        // A pattern that is none was its author's mistake, and says nothing about the text.
        let pattern =
            schema.get("pattern").and_then(Schema::as_str).and_then(|p| regex_lite::Regex::new(p).ok());
        if let Some(pattern) = pattern.filter(|pattern| !pattern.is_match(text)) {
            self.problems
                .report("", format!("is {}; allowed: text that matches {}", quoted(text), pattern.as_str()));
        }
    }

    fn word(&mut self, value: &Value, words: &[&str], schema: &Schema) {
        match value {
            Value::String(_, word) if words.contains(&word.as_str()) => {}
            Value::String(_, word) => {
                self.problems.report("", format!("is {}{}", quoted(word), suggest(word, words)));
            }
            _ => self.wrong(value, schema),
        }
    }

    fn list(&mut self, items: &[Value], schema: &Schema) {
        let size = |key: &str| schema.get(key).and_then(Schema::as_u64);
        let (least, most) = (size("minItems").unwrap_or(0), size("maxItems").unwrap_or(u64::MAX));
        if (items.len() as u64) < least {
            self.problems.report("", format!("has {} items; needed: at least {least}", items.len()));
        }
        if items.len() as u64 > most {
            self.problems.report("", format!("has {} items; allowed: at most {most}", items.len()));
        }
        if schema.get("uniqueItems") == Some(&Schema::Bool(true)) {
            for (i, item) in items.iter().enumerate().filter(|(i, item)| items[..*i].contains(item)) {
                self.problems.report(&i.to_string(), format!("is {} again; allowed: each once", shown(item)));
            }
        }
        for (i, item) in items.iter().enumerate() {
            let own = schema.get("prefixItems").and_then(|list| list.get(i));
            if let Some(of_item) = own.or_else(|| schema.get("items")) {
                self.within(&i.to_string(), |this| this.value(item, of_item));
            }
        }
    }

    /// A table whose `type` names a part.
    fn part(&mut self, value: &Value, kind: Kind, schema: &Schema) {
        let Value::Dict(_, table) = value else { return self.wrong(value, schema) };
        let tag = match table.get("type") {
            Some(Value::String(_, tag)) => tag,
            Some(other) => {
                let message = format!("is {}, expected the name of {}", shown(other), article(kind));
                return self.problems.report("type", format!("{message}: {}", tags(kind).join(", ")));
            }
            None => {
                let message = format!("is missing; it names {}: {}", article(kind), tags(kind).join(", "));
                return self.problems.report("type", message);
            }
        };
        let Some(part) = Part::find(kind, tag) else {
            let message =
                format!("is {}, no known {}{}", quoted(tag), kind.name(), suggest(tag, &tags(kind)));
            return self.problems.report("type", message);
        };
        let schema = (part.schema)().to_value();
        let mut inside = Checker { root: &schema, whole: self.whole, problems: self.problems };
        inside.table(table, &schema, Some("type"));
    }

    /// One of several forms: that whose constant the table has, else that with the fewest problems.
    fn one_of(&mut self, value: &Value, alternatives: &[&Schema], schema: &Schema) {
        if let Some(tag) = common_constant(alternatives) {
            return self.tagged(value, tag, alternatives, schema);
        }
        // A form of the value's own kind says what is wrong with it.
        let mut own = alternatives.iter().filter(|form| is_of_kind(value, resolve(form, self.root)));
        if let (Some(form), None) = (own.next(), own.next()) {
            return self.value(value, form);
        }
        let trials = alternatives.iter().map(|alternative| {
            let mut problems = Problems::new();
            Checker { root: self.root, whole: self.whole, problems: &mut problems }.value(value, alternative);
            problems
        });
        match trials.min_by_key(|problems| problems.found().len()) {
            Some(best) if best.is_empty() => {}
            Some(_) if alternatives.len() > 1 => self.wrong(value, schema),
            Some(best) => self.problems.adopt(best),
            None => {}
        }
    }

    fn tagged(&mut self, value: &Value, tag: &str, alternatives: &[&Schema], schema: &Schema) {
        let Value::Dict(_, table) = value else { return self.wrong(value, schema) };
        let names: Vec<&str> = alternatives.iter().filter_map(|form| constant(form, tag)).collect();
        match table.get(tag) {
            None => self.problems.report(tag, format!("is missing; expected one of: {}", names.join(", "))),
            Some(Value::String(_, name)) => match names.iter().position(|known| known == name) {
                Some(form) => self.table(table, alternatives[form], None),
                None => self.within(tag, |this| this.word(&table[tag], &names, schema)),
            },
            Some(other) => {
                let message = format!("is {}, expected one of: {}", shown(other), names.join(", "));
                self.problems.report(tag, message);
            }
        }
    }

    /// The keys of a table; `tag` is one that the schema needn't know.
    fn table(&mut self, table: &Dict, schema: &Schema, tag: Option<&str>) {
        let none = Map::new();
        let known = schema.get("properties").and_then(Schema::as_object).unwrap_or(&none);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Schema::as_array)
            .into_iter()
            .flatten()
            .filter_map(Schema::as_str)
            .collect();
        for (name, of_value) in known {
            match table.get(name) {
                Some(value) => self.within(name, |this| this.value(value, of_value)),
                None if required.contains(&name.as_str()) => {
                    let message = format!("is missing; expected {}", expected(of_value, self.root));
                    self.problems.report(name, message);
                }
                None => {}
            }
        }
        if is_composite(schema) {
            return;
        }
        let others = schema.get("additionalProperties").filter(|schema| **schema != Schema::Bool(false));
        let allowed: Vec<&str> = tag.into_iter().chain(known.keys().map(String::as_str)).collect();
        let mut elsewhere = None;
        for (name, value) in
            table.iter().filter(|(name, _)| !known.contains_key(*name) && Some(name.as_str()) != tag)
        {
            match others {
                Some(Schema::Bool(_)) => {}
                Some(of_value) => self.within(&key(name), |this| this.value(value, of_value)),
                None => {
                    // What is allowed is told once for each table.
                    let told = elsewhere.is_some();
                    let (whole, schema) = self.whole;
                    let elsewhere = elsewhere.get_or_insert_with(|| all_keys(Some(whole), schema));
                    let meant = meant_key(name, &allowed, self.problems.path(), elsewhere);
                    let advice = match (told, meant.as_deref()) {
                        (false, meant) => advise(meant, &allowed),
                        (true, Some(meant)) => format!("; did you mean {meant}?"),
                        (true, None) => String::new(),
                    };
                    self.problems.report_key(&key(name), format!("is unknown{advice}"));
                }
            }
        }
    }

    fn within(&mut self, key: &str, check: impl FnOnce(&mut Checker<'_>)) {
        let (root, whole) = (self.root, self.whole);
        self.problems.within(key, |problems| check(&mut Checker { root, whole, problems }));
    }
}

/// Whether a value is a table, list, number or text where the schema asks for one.
fn is_of_kind(value: &Value, schema: &Schema) -> bool {
    let kinds: &[&str] = match value {
        Value::Dict(..) => &["object"],
        Value::Array(..) => &["array"],
        Value::Num(..) => &["integer", "number"],
        Value::String(..) | Value::Char(..) => &["string"],
        Value::Bool(..) => &["boolean"],
        Value::Empty(..) => &["null"],
    };
    types(schema).iter().any(|name| kinds.contains(name))
}

/// Whether a value may be empty (`null`).
fn allows_nothing(schema: &Schema) -> bool {
    let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Schema::as_array);
    types(schema).contains(&"null")
        || alternatives.is_some_and(|list| list.iter().any(|form| types(form) == ["null"]))
}

/// Whether keys of a table may come from elsewhere than its properties, as those of a flattened enum: then serde judges
/// what is unknown.
pub(crate) fn is_composite(schema: &Schema) -> bool {
    ["oneOf", "anyOf", "allOf"].iter().any(|keyword| schema.get(keyword).is_some())
}

/// The key that has a constant in every form, as in `type = "..."`.
fn common_constant<'a>(alternatives: &[&'a Schema]) -> Option<&'a str> {
    let keys = alternatives.first()?.get("properties")?.as_object()?.keys();
    let mut common = keys.filter(|key| alternatives.iter().all(|form| constant(form, key).is_some()));
    common.next().map(String::as_str)
}

fn constant<'a>(form: &'a Schema, key: &str) -> Option<&'a str> {
    form.get("properties")?.get(key)?.get("const")?.as_str()
}

#[cfg(test)]
mod tests;
