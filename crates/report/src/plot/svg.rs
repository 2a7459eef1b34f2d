//! A scene as SVG text.

use super::font::{self, FAMILY};
use super::frame::{Point, Rect};
use super::scene::{Anchor, POWER, Scene, Shape, Tag};
use super::style::{Colour, INK, Stroke};
use super::ticks::Label;
use crate::escape::xml;
use std::fmt::{Arguments, Write as _};

/// The scene as a document. Its ink is `currentColor` and its paper has the class `paper`, so that a page around it can
/// choose other colours.
pub(super) fn document(scene: &Scene) -> String {
    let (width, height) = scene.size;
    let (w, h) = (number(width), number(height));
    // Widths are sums of the letters' own: kerning would only fight them.
    let mut out = Writer(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
         role=\"img\" color=\"{INK}\" fill=\"currentColor\" font-family=\"{FAMILY}\" font-kerning=\"none\">\n"
    ));
    out.title(&scene.title);
    out.shape(&Shape::Paper { rect: Rect { left: 0.0, top: 0.0, width, height }, opacity: 1.0 });
    out.shapes(&scene.shapes);
    out.put(format_args!("</svg>"));
    out.0
}

struct Writer(String);

impl Writer {
    fn shapes(&mut self, shapes: &[Shape]) {
        for shape in shapes {
            self.shape(shape);
        }
    }

    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Paper { rect, opacity } => {
                let opacity = share("fill-opacity", *opacity);
                self.put(format_args!("<rect class=\"paper\" {} fill=\"#ffffff\"{opacity}/>", bounds(rect)));
            }
            Shape::Tile { rect, colour } => {
                self.put(format_args!("<rect {} fill=\"{colour}\"/>", bounds(rect)));
            }
            Shape::Lines { runs, stroke } => self.lines(runs, *stroke),
            Shape::Area { outline, colour, opacity } => {
                let (path, opacity) = (path([outline]), share("fill-opacity", *opacity));
                self.put(format_args!("<path d=\"{path}Z\" fill=\"{colour}\"{opacity}/>"));
            }
            Shape::Dot { at, radius, colour, opacity } => {
                let [x, y, r] = [at.0, at.1, *radius].map(number);
                let opacity = share("fill-opacity", *opacity);
                self.put(format_args!(
                    "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"{colour}\"{opacity}/>"
                ));
            }
            Shape::Text { at, label, size, anchor, turned, colour } => {
                self.text(*at, label, *size, *anchor, *turned, *colour);
            }
            Shape::Group { tag, shapes } => {
                self.open(tag);
                self.shapes(shapes);
                self.put(format_args!("</g>"));
            }
            Shape::Clip { rect, shapes } => {
                let [l, t, w, h] = [rect.left, rect.top, rect.width, rect.height].map(number);
                // A nested document clips without an id, which two figures on one page would share.
                self.put(format_args!(
                    "<svg {} viewBox=\"{l} {t} {w} {h}\" overflow=\"hidden\">",
                    bounds(rect)
                ));
                self.shapes(shapes);
                self.put(format_args!("</svg>"));
            }
            Shape::Moved { by, shapes } => {
                let [x, y] = [by.0, by.1].map(number);
                self.put(format_args!("<g transform=\"translate({x} {y})\">"));
                self.shapes(shapes);
                self.put(format_args!("</g>"));
            }
        }
    }

    fn open(&mut self, tag: &Tag) {
        let mut attributes = String::new();
        if !tag.class.is_empty() {
            let _ = write!(attributes, " class=\"{}\"", tag.class);
        }
        for (name, value) in &tag.data {
            let _ = write!(attributes, " data-{name}=\"{}\"", xml(value));
        }
        self.put(format_args!("<g{attributes}>"));
        self.title(&tag.title);
    }

    fn title(&mut self, title: &str) {
        if !title.is_empty() {
            self.put(format_args!("<title>{}</title>", xml(title)));
        }
    }

    fn lines(&mut self, runs: &[Vec<Point>], stroke: Stroke) {
        let path = path(runs);
        if path.is_empty() {
            return;
        }
        let Stroke { colour, width, dash, opacity } = stroke;
        let (width, opacity) = (number(width), share("stroke-opacity", opacity));
        let dash = match dash {
            [] => String::new(),
            dash => {
                let lengths: Vec<String> = dash.iter().copied().map(number).collect();
                format!(" stroke-dasharray=\"{}\"", lengths.join(" "))
            }
        };
        self.put(format_args!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}{opacity} \
             stroke-linejoin=\"round\"/>"
        ));
    }

    /// One turned runs upwards. It states its width, where that is known, and so keeps to it in a viewer that has none
    /// of the fonts it asks for.
    fn text(
        &mut self,
        (x, y): Point,
        label: &Label,
        size: f64,
        anchor: Anchor,
        turned: bool,
        colour: Colour,
    ) {
        let [x, y] = [x, y].map(number);
        let fit = if label.power.is_empty() && !label.text.is_empty() && font::covers(&label.text) {
            let width = number(font::width(&label.text, size));
            format!(" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\"")
        } else {
            String::new()
        };
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let turn = if turned { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
        let fill = if colour == Colour::Ink { String::new() } else { format!(" fill=\"{colour}\"") };
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
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}{fit}{turn}{fill}>{text}{power}</text>"
        ));
    }

    fn put(&mut self, element: Arguments<'_>) {
        let _ = writeln!(self.0, "{element}");
    }
}

/// An attribute for an opacity below 1.
fn share(name: &str, opacity: f64) -> String {
    if opacity < 1.0 { format!(" {name}=\"{opacity}\"") } else { String::new() }
}

fn bounds(rect: &Rect) -> String {
    let [x, y, w, h] = [rect.left, rect.top, rect.width, rect.height].map(number);
    format!("x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"")
}

fn path<'a>(runs: impl IntoIterator<Item = &'a Vec<Point>>) -> String {
    let mut path = String::new();
    for run in runs {
        for (i, &(x, y)) in run.iter().enumerate() {
            let _ = write!(path, "{}{} {}", if i == 0 { 'M' } else { 'L' }, number(x), number(y));
        }
    }
    path
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
