//! Trees of values merged into one, each value knowing where it came from.

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use looped_core::Problems;

use crate::place::after;
use crate::text::Text;
use crate::wording::key;
use crate::{ConfigError, Finding};

/// The values that one source sets.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// The file, or `command line`.
    pub(crate) source: String,
    pub(crate) values: Dict,
    pub(crate) text: Text,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Layers, the last one on top.
#[derive(Debug, Default)]
pub(crate) struct Layers(Vec<Layer>);

impl Layers {
    /// Lays `layer` on top. Tables unite, but one whose `type` changes is another thing altogether: it replaces what
    /// lies below it.
    pub(crate) fn push(&mut self, layer: Layer) {
        let mut path = Vec::new();
        self.clear_changed(&layer.values, &mut path);
        self.0.push(layer);
    }

    fn clear_changed(&mut self, table: &Dict, path: &mut Vec<String>) {
        if let Some(Value::String(_, new)) = table.get("type")
            && self.type_at(path).is_some_and(|old| old != new)
        {
            self.clear(path);
        }
        for (key, value) in table {
            if let Value::Dict(_, inner) = value {
                path.push(key.clone());
                self.clear_changed(inner, path);
                path.pop();
            }
        }
    }

    fn type_at(&self, path: &[String]) -> Option<&str> {
        self.0.iter().rev().find_map(|layer| {
            let table = path.iter().try_fold(&layer.values, |table, key| table.get(key)?.as_dict())?;
            table.get("type")?.as_str()
        })
    }

    /// Removes what all layers have at `path`.
    pub(crate) fn clear(&mut self, path: &[String]) {
        let Some((last, above)) = path.split_last() else { return };
        for layer in &mut self.0 {
            let table = above.iter().try_fold(&mut layer.values, |table, key| match table.get_mut(key) {
                Some(Value::Dict(_, inner)) => Some(inner),
                _ => None,
            });
            if let Some(table) = table {
                table.remove(last);
            }
        }
    }

    /// All layers as one tree; `name` is the file that was asked for.
    pub(crate) fn merge(self, name: &str) -> Result<Tree, ConfigError> {
        let texts = self.0.iter().map(|layer| (layer.source.clone(), layer.text.clone())).collect();
        let figment = self.0.into_iter().fold(Figment::new(), Figment::merge);
        let value = figment.find_value("").map_err(|error| ConfigError::file(name, error.to_string()))?;
        Ok(Tree { figment, value, name: name.to_owned(), texts })
    }
}

/// Merged values, and where each came from.
#[derive(Debug)]
pub(crate) struct Tree {
    figment: Figment,
    pub(crate) value: Value,
    /// The file that was asked for: what nobody set is missing there.
    name: String,
    /// The text of each source.
    texts: Map<String, Text>,
}

impl Tree {
    /// Adds to each problem the source that it has to be fixed in, and where it is there.
    pub(crate) fn locate(&self, problems: &Problems) -> Vec<Finding> {
        let found = problems.found().iter();
        found
            .map(|problem| {
                let source = self.source(&problem.path);
                let place = self.texts.get(&source).and_then(|text| text.place(problem));
                Finding { source, place, path: problem.path.clone(), message: problem.message.clone() }
            })
            .collect()
    }

    /// Who set the value at `path`. If nobody did: who chose the part that it belongs to, or wrote all of the table that
    /// it belongs in; else the file asked for.
    fn source(&self, path: &str) -> String {
        let (mut value, mut rest) = (&self.value, path);
        while !rest.is_empty() {
            match step(value, rest) {
                Some((inner, after)) => (value, rest) = (inner, after),
                None if std::ptr::eq(value, &self.value) => return self.name.clone(),
                None => return self.author(value),
            }
        }
        self.name_of(value)
    }

    fn author(&self, table: &Value) -> String {
        let Some(table) = table.as_dict() else { return self.name.clone() };
        let mut authors = table.values().map(|value| self.name_of(value));
        match (table.get("type"), authors.next()) {
            (Some(tag), _) => self.name_of(tag),
            (None, Some(first)) if authors.all(|other| other == first) => first,
            _ => self.name.clone(),
        }
    }

    fn name_of(&self, value: &Value) -> String {
        let metadata = self.figment.get_metadata(value.tag());
        metadata.map_or_else(|| self.name.clone(), |metadata| metadata.name.to_string())
    }
}

/// The value at the first key of `path`, and the path from there.
fn step<'a, 'p>(value: &'a Value, path: &'p str) -> Option<(&'a Value, &'p str)> {
    match value {
        Value::Dict(_, table) => {
            table.iter().find_map(|(name, inner)| Some((inner, after(path, &key(name))?)))
        }
        Value::Array(_, items) => {
            items.iter().enumerate().find_map(|(i, item)| Some((item, after(path, &i.to_string())?)))
        }
        _ => None,
    }
}
