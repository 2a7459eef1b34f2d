//! The font the crate carries, and how wide a text is in it.

use crate::escape::xml;
use resvg::usvg::{Node, Options, Tree, fontdb::Database};
use std::sync::{Arc, LazyLock};

/// The font of this name, or one of the same widths.
pub(super) const FAMILY: &str = "'Liberation Sans', Arimo, Arial, Helvetica, sans-serif";

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(include_bytes!("../../fonts/LiberationSans-Regular.ttf").to_vec());
    Arc::new(fonts)
});

/// Parses `svg` with the carried font and no other.
pub(super) fn parse(svg: &str) -> Result<Tree, resvg::usvg::Error> {
    Tree::from_str(svg, &Options { fontdb: FONTS.clone(), ..Options::default() })
}

/// The width of `text` in units of `size`.
pub(super) fn width(text: &str, size: f64) -> f64 {
    // Measured large and scaled: the box of a text is rounded in single precision.
    const EM: f64 = 100.0;
    let svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text font-family="{FAMILY}" font-size="{EM}">{}</text></svg>"#,
        xml(text)
    );
    let Ok(tree) = parse(&svg) else { return 0.0 };
    let widths = tree.root().children().iter().map(|node| match node {
        Node::Text(text) => f64::from(text.bounding_box().width()),
        _ => 0.0,
    });
    widths.fold(0.0, f64::max) * size / EM
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
    let mut short = text.to_owned();
    while width(&short, size) > limit {
        let kept = short.trim_end_matches('…').chars().count().saturating_sub(1);
        short = text.chars().take(kept).chain(['…']).collect();
        if kept == 0 {
            break;
        }
    }
    short
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
    fn long_texts_wrap_and_shorten() {
        let text = "error over in-context examples";
        for line in wrap(text, 10.0, 80.0) {
            assert!(width(&line, 10.0) <= 80.0, "{line}");
        }
        assert_eq!(wrap(text, 10.0, 80.0).join(" "), text);
        let short = shorten(text, 10.0, 80.0);
        assert!(short.ends_with('…') && width(&short, 10.0) <= 80.0, "{short}");
        assert_eq!(shorten("short", 10.0, 80.0), "short");
    }
}
