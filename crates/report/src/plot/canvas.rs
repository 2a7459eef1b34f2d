//! SVG, written shape by shape.

use super::font::{self, FAMILY};
use super::frame::{Point, Rect};
use super::style::{INK, Stroke};
use super::ticks::Label;
use crate::escape::xml;
use std::fmt::Write as _;

/// An SVG document in the making.
#[derive(Debug)]
pub(super) struct Canvas(String);

/// Which part of a text stands at its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The size of an exponent, and how far it is raised, as shares of the text's size.
pub(super) const POWER: (f64, f64) = (0.72, 0.38);

impl Canvas {
    /// A white page. Ink is `currentColor` and the page has the class `paper`, so that a document around it can choose
    /// other colours.
    pub(super) fn new((width, height): (f64, f64), title: &str) -> Self {
        let (w, h) = (number(width), number(height));
        let mut canvas = Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
             role=\"img\" color=\"#1a1a1a\" fill=\"{INK}\" font-family=\"{FAMILY}\">\n"
        ));
        canvas.title(title);
        canvas.paper(&Rect { left: 0.0, top: 0.0, width, height }, 1.0);
        canvas
    }

    /// The finished document.
    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    /// The name of the document or of the group just begun: read aloud, and shown under the pointer.
    pub(super) fn title(&mut self, title: &str) {
        if !title.is_empty() {
            self.put(format_args!("<title>{}</title>", xml(title)));
        }
    }

    /// An area of the page's colour.
    pub(super) fn paper(&mut self, rect: &Rect, opacity: f64) {
        let opacity = if opacity < 1.0 { format!(" fill-opacity=\"{opacity}\"") } else { String::new() };
        self.put(format_args!("<rect class=\"paper\" {} fill=\"#ffffff\"{opacity}/>", bounds(rect)));
    }

    /// What `draw` draws, cut off outside `rect`.
    pub(super) fn clipped(&mut self, rect: &Rect, draw: impl FnOnce(&mut Self)) {
        let [l, t, w, h] = [rect.left, rect.top, rect.width, rect.height].map(number);
        // A nested document clips without an id, which two figures on one page would share.
        self.put(format_args!("<svg {} viewBox=\"{l} {t} {w} {h}\" overflow=\"hidden\">", bounds(rect)));
        draw(self);
        self.put(format_args!("</svg>"));
    }

    /// What `draw` draws, with a name.
    pub(super) fn group(&mut self, name: &str, draw: impl FnOnce(&mut Self)) {
        self.put(format_args!("<g>"));
        self.title(name);
        draw(self);
        self.put(format_args!("</g>"));
    }

    /// Points joined by lines, one stroke for each run.
    pub(super) fn line<'a>(&mut self, runs: impl IntoIterator<Item = &'a [Point]>, stroke: Stroke) {
        let mut path = String::new();
        for run in runs {
            points(&mut path, run);
        }
        if path.is_empty() {
            return;
        }
        let Stroke { colour, width, dash, opacity } = stroke;
        let mut style = format!("stroke=\"{colour}\" stroke-width=\"{}\"", number(width));
        if let Some(dash) = dash {
            let _ = write!(style, " stroke-dasharray=\"{dash}\"");
        }
        if opacity < 1.0 {
            let _ = write!(style, " stroke-opacity=\"{opacity}\"");
        }
        self.put(format_args!("<path d=\"{path}\" fill=\"none\" {style} stroke-linejoin=\"round\"/>"));
    }

    /// The inside of an outline.
    pub(super) fn area(&mut self, outline: &[Point], colour: &str, opacity: f64) {
        let mut path = String::new();
        points(&mut path, outline);
        self.put(format_args!("<path d=\"{path}Z\" fill=\"{colour}\" fill-opacity=\"{opacity}\"/>"));
    }

    /// A filled circle.
    pub(super) fn dot(&mut self, (x, y): Point, radius: f64, colour: &str) {
        let [x, y, r] = [x, y, radius].map(number);
        self.put(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"{colour}\"/>"));
    }

    /// Text whose baseline is at `y`; one turned runs upwards. It states its width, and so keeps to it in a viewer
    /// that has none of the fonts it asks for.
    pub(super) fn text(&mut self, (x, y): Point, label: &Label, size: f64, anchor: Anchor, turned: bool) {
        let [x, y] = [x, y].map(number);
        let width = match label.power.as_str() {
            "" => font::width(&label.text, size),
            _ => 0.0,
        };
        let fit = match width {
            0.0 => String::new(),
            width => format!(" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\"", number(width)),
        };
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let turn = if turned { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
        let power = match label.power.as_str() {
            "" => String::new(),
            power => {
                let (scale, raise) = POWER;
                let (dy, small) = (number(-raise * size), number(scale * size));
                format!("<tspan dy=\"{dy}\" font-size=\"{small}\">{}</tspan>", xml(power))
            }
        };
        let (text, size) = (xml(&label.text), number(size));
        self.put(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}{fit}{turn}>{text}{power}</text>"
        ));
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{element}");
    }
}

fn bounds(rect: &Rect) -> String {
    let [x, y, w, h] = [rect.left, rect.top, rect.width, rect.height].map(number);
    format!("x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"")
}

fn points(path: &mut String, run: &[Point]) {
    for (i, &(x, y)) in run.iter().enumerate() {
        let _ = write!(path, "{}{} {}", if i == 0 { 'M' } else { 'L' }, number(x), number(y));
    }
}

/// Two decimals at most: finer than print, and the same on every machine.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([1.0, -0.001, 2.50, 10.0, 1.239].map(number), ["1", "0", "2.5", "10", "1.24"]);
    }
}
