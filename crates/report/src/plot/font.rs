//! The font the crate carries: how wide a text is in it, and the outlines of its letters.

use std::sync::LazyLock;
use ttf_parser::{Face, GlyphId, OutlineBuilder};
use unicode_width::UnicodeWidthChar;

/// The font of this name, or one of the same widths.
pub(super) const FAMILY: &str = "'Liberation Sans', Arimo, Arial, Helvetica, sans-serif";

/// The width of a letter that the font lacks, in em, for each column it takes on a terminal.
const LACKING: f64 = 0.6;

static FACE: LazyLock<Face<'static>> = LazyLock::new(|| {
    // The file is part of the program, and every test of a width reads it.
    Face::parse(include_bytes!("../../fonts/LiberationSans-Regular.ttf"), 0)
        .expect("the carried font is whole")
});

/// A letter where it stands in its text.
pub(super) enum Letter {
    /// One the font has.
    Glyph(GlyphId),
    /// One it lacks.
    Lacking(char),
}

/// The letters of `text` with their places and widths, in units of `size`.
pub(super) fn letters(text: &str, size: f64) -> impl Iterator<Item = (f64, f64, Letter)> {
    let mut end = 0.0;
    text.chars().map(move |c| {
        let (width, letter) = match FACE.glyph_index(c) {
            Some(glyph) => (advance(glyph) * size, Letter::Glyph(glyph)),
            None => (LACKING * size * c.width().unwrap_or(0) as f64, Letter::Lacking(c)),
        };
        let start = end;
        end += width;
        (start, width, letter)
    })
}

/// Draws `glyph` at the size of one em of 1 upwards from the origin.
pub(super) fn outline(glyph: GlyphId, pen: &mut impl OutlineBuilder) {
    FACE.outline_glyph(glyph, pen);
}

/// The units of [`outline`] in an em.
pub(super) fn units_per_em() -> f64 {
    f64::from(FACE.units_per_em())
}

/// The width of `text` in units of `size`.
pub(super) fn width(text: &str, size: f64) -> f64 {
    letters(text, size).map(|(_, width, _)| width).sum()
}

/// Whether the font has every letter of `text`, so that its width is known.
pub(super) fn covers(text: &str) -> bool {
    text.chars().all(|c| FACE.glyph_index(c).is_some())
}

fn advance(glyph: GlyphId) -> f64 {
    f64::from(FACE.glyph_hor_advance(glyph).unwrap_or(0)) / units_per_em()
}

/// `text` broken between words into lines of at most `limit`; a longer word has a line of its own.
pub(super) fn wrap(text: &str, size: f64, limit: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size) <= limit => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// `text`, cut and ended with `…` where it is wider than `limit`.
pub(super) fn shorten(text: &str, size: f64, limit: f64) -> String {
    if width(text, size) <= limit {
        return text.to_owned();
    }
    let room = limit - width("…", size);
    let fits = letters(text, size).take_while(|(start, width, _)| start + width <= room).count();
    text.chars().take(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Advances of Liberation Sans, 2048 units an em: `0` 1139, `M` 1706, `−` 1196.
    #[test]
    fn widths_are_those_of_the_font() {
        for (text, units) in [("0", 1139.0), ("M", 1706.0), ("−", 1196.0), ("00", 2278.0)] {
            assert!((width(text, 10.0) - units / 204.8).abs() < 1e-3, "{text}: {}", width(text, 10.0));
        }
        assert_eq!(width("", 10.0), 0.0);
    }

    #[test]
    fn a_letter_the_font_lacks_has_a_width_and_says_so() {
        assert!(covers("größer ≤ 10⁻³") || !covers("⁻"), "only what it lacks is lacking");
        assert!(!covers("東京"));
        assert!((width("東京", 10.0) - 24.0).abs() < 1e-9, "two columns each: {}", width("東京", 10.0));
    }

    #[test]
    fn long_texts_wrap_and_shorten() {
        let text = "error over in-context examples";
        for line in wrap(text, 10.0, 80.0) {
            assert!(width(&line, 10.0) <= 80.0, "{line}");
        }
        assert_eq!(wrap(text, 10.0, 80.0).join(" "), text);
        let short = shorten(text, 10.0, 80.0);
        assert!(short.ends_with('…') && width(&short, 10.0) <= 80.0, "{short}");
        assert!(width(&short, 10.0) > 70.0, "no shorter than it must be: {short}");
        assert_eq!(shorten("short", 10.0, 80.0), "short");
        assert_eq!(shorten("short", 10.0, 0.0), "…");
    }
}
