//! YAML as a tree of JSON values, with the place of each: of all that YAML can say, what an experiment needs.
//!
//! Tags and keys that aren't text are refused. Aliases are copied, so a few of them can stand for billions of values:
//! they count in full towards [`MOST`].

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::{Map, Number, Value as Json};

use crate::place::{Malformed, Node, Place};
use crate::wording::quoted;

/// Tables in tables, deeper than any experiment has them.
const DEEPEST: usize = 64;

/// More values than any experiment has.
const MOST: usize = 100_000;

/// The value of a text and where all in it stands, in characters; an empty text is `null`.
pub(crate) fn parse(text: &str) -> Result<(Json, Node), Malformed> {
    let mut loader = Loader { text, parser: Parser::new_from_str(text), anchors: HashMap::new(), values: 0 };
    let mut found = None;
    loop {
        let (event, span) = loader.next()?;
        match event {
            Event::StreamEnd => return Ok(found.unwrap_or_default()),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if found.is_some() => return Err(loader.wrong(span, "a second document; expected one")),
            event => found = Some(loader.value(event, span, 0)?),
        }
    }
}

/// What a list or a table holds, where that stands, and where the list or table ends.
type Held<T> = Result<(T, Vec<(String, Node)>, Marker), Malformed>;

struct Loader<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, (Json, Node, usize)>,
    /// How many there are so far.
    values: usize,
}

impl<'t> Loader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Malformed> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.malformed(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn malformed(&self, error: &ScanError) -> Malformed {
        let at = self.byte(error.marker());
        Malformed { message: error.info().to_owned(), place: Some(Place::of(self.text, at..at)) }
    }

    fn wrong(&self, span: Span, message: impl Into<String>) -> Malformed {
        let bytes = self.byte(&span.start)..self.byte(&span.end);
        Malformed { message: message.into(), place: Some(Place::of(self.text, bytes)) }
    }

    fn byte(&self, marker: &Marker) -> usize {
        self.text.char_indices().nth(marker.index()).map_or(self.text.len(), |(at, _)| at)
    }

    fn value(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<(Json, Node), Malformed> {
        self.count(1, span)?;
        if depth > DEEPEST {
            return Err(self.wrong(span, format!("is nested more than {DEEPEST} deep")));
        }
        let before = self.values;
        let node = |end: Marker, inner| Node { key: 0..0, value: span.start.index()..end.index(), inner };
        let (anchor, json, node) = match event {
            Event::Alias(anchor) => {
                let Some((json, node, values)) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.wrong(span, "refers to a value that holds it"));
                };
                self.count(values, span)?;
                return Ok((json, node));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text =
                    tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                self.refuse_tag(tag.is_some() && !is_text, span)?;
                let plain = style == ScalarStyle::Plain && !is_text;
                (
                    anchor,
                    if plain { plain_scalar(&text) } else { Json::from(&*text) },
                    node(span.end, Vec::new()),
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                let (items, inner, end) = self.sequence(depth)?;
                (anchor, Json::Array(items), node(end, inner))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                let (table, inner, end) = self.mapping(depth)?;
                (anchor, Json::Object(table), node(end, inner))
            }
            _ => return Err(self.wrong(span, "expected a value")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (json.clone(), node.clone(), self.values - before + 1));
        }
        Ok((json, node))
    }

    fn sequence(&mut self, depth: usize) -> Held<Vec<Json>> {
        let (mut items, mut inner) = (Vec::new(), Vec::new());
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => return Ok((items, inner, span.end)),
                (event, span) => {
                    let (json, node) = self.value(event, span, depth + 1)?;
                    inner.push((items.len().to_string(), node));
                    items.push(json);
                }
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Held<Map<String, Json>> {
        let (mut table, mut inner) = (Map::new(), Vec::new());
        loop {
            let (event, at) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok((table, inner, at.end)),
                Event::Scalar(key, _, 0, None) => key.into_owned(),
                _ => return Err(self.wrong(at, "is no key; expected text")),
            };
            if table.contains_key(&key) {
                return Err(self.wrong(at, format!("the key {} stands here twice", quoted(&key))));
            }
            let (event, span) = self.next()?;
            let (json, node) = self.value(event, span, depth + 1)?;
            inner.push((key.clone(), Node { key: at.start.index()..at.end.index(), ..node }));
            table.insert(key, json);
        }
    }

    fn count(&mut self, values: usize, span: Span) -> Result<(), Malformed> {
        self.values += values;
        if self.values <= MOST {
            return Ok(());
        }
        Err(self.wrong(span, format!("the file holds more than {MOST} values, those of aliases counted")))
    }

    fn refuse_tag(&self, is_there: bool, span: Span) -> Result<(), Malformed> {
        if is_there { Err(self.wrong(span, "has a tag; expected a value without one")) } else { Ok(()) }
    }
}

/// What a word without quotes stands for (YAML 1.2, core schema); numbers that JSON can't hold stay text.
fn plain_scalar(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        "true" | "True" | "TRUE" => return Json::Bool(true),
        "false" | "False" | "FALSE" => return Json::Bool(false),
        _ => {}
    }
    let digits = |prefix, radix| i64::from_str_radix(text.strip_prefix(prefix)?, radix).ok();
    if let Some(n) = digits("0x", 16).or_else(|| digits("0o", 8)) {
        return Json::from(n);
    }
    if let Ok(n) = text.parse::<i64>() {
        return Json::from(n);
    }
    if let Ok(n) = text.parse::<u64>() {
        return Json::from(n);
    }
    let is_number = text.chars().all(|c| c.is_ascii_digit() || ".eE+-".contains(c));
    let number = text.parse::<f64>().ok().filter(|_| is_number).and_then(Number::from_f64);
    number.map_or_else(|| Json::from(text), Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(text: &str) -> Json {
        parse(text).map(|(json, _)| json).unwrap_or_else(|error| panic!("{text}: {}", error.message))
    }

    #[test]
    fn words_without_quotes_are_numbers_and_truths_where_yaml_says_so() {
        assert_eq!(
            value("[1, -2, +3, 0x1f, 1e-4, .5, 2., True, ~, '1', 1_000, .nan, x y, \"a\\tb\"]"),
            json!([1, -2, 3, 31, 1e-4, 0.5, 2.0, true, null, "1", "1_000", ".nan", "x y", "a\tb"])
        );
        assert_eq!(
            value("a: !!str 1\nb:\n  - {c: d}\n  -\n"),
            json!({ "a": "1", "b": [{ "c": "d" }, null] })
        );
        assert_eq!(value("# nothing\n"), Json::Null);
        assert_eq!(value("a: &x [1, 2]\nb: *x"), json!({ "a": [1, 2], "b": [1, 2] }));
    }

    #[test]
    fn what_an_experiment_has_no_use_for_is_refused_with_its_place() {
        for (text, line, column, message) in [
            ("a: 1\nb: !tag 2", 2, 4, "has a tag"),
            ("a: 1\na: 2", 2, 1, "the key \"a\" stands here twice"),
            ("? [a]\n: 1", 1, 3, "is no key"),
            ("a: 1\n---\nb: 2", 3, 1, "a second document"),
            ("a: &x [*x]", 1, 8, "refers to a value that holds it"),
        ] {
            let Err(error) = parse(text) else { panic!("{text} is accepted") };
            assert!(error.message.contains(message), "{text}: {}", error.message);
            let place = error.place.unwrap();
            assert_eq!((place.line, place.column), (line, column), "{text}: {}", error.message);
        }
    }

    #[test]
    fn deep_and_doubled_values_are_refused_at_once() {
        let since = std::time::Instant::now();
        for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000)]
        {
            assert!(parse(&text).is_err());
        }
        let bomb = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
            let all = vec![format!("*a{}", n - 1); 9].join(", ");
            format!("{text}a{n}: &a{n} [{all}]\n")
        });
        assert!(parse(&bomb).is_err());
        assert!(since.elapsed().as_secs() < 2, "{:?}", since.elapsed());
    }
}
