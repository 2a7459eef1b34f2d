//! What stands on a figure, shape by shape: [`super::svg`] writes it, [`super::png`] paints it.

use super::frame::{Point, Rect};
use super::style::{Colour, Stroke};
use super::ticks::Label;

/// A page with its shapes, from the back to the front.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) size: (f64, f64),
    /// The name of the whole: read aloud, and shown under the pointer.
    pub(super) title: String,
    pub(super) shapes: Vec<Shape>,
}

/// Something to draw.
#[derive(Debug)]
pub(super) enum Shape {
    /// An area of the page's own colour.
    Paper { rect: Rect, opacity: f64 },
    /// A filled rectangle.
    Tile { rect: Rect, colour: Colour },
    /// Points joined by lines, run by run.
    Lines { runs: Vec<Vec<Point>>, stroke: Stroke },
    /// The inside of an outline.
    Area { outline: Vec<Point>, colour: Colour, opacity: f64 },
    /// A filled circle.
    Dot { at: Point, radius: f64, colour: Colour, opacity: f64 },
    /// A text whose baseline is at `at`.
    Text { at: Point, label: Label, size: f64, anchor: Anchor, turned: bool, colour: Colour },
    /// Shapes that belong together.
    Group { tag: Tag, shapes: Vec<Shape> },
    /// Shapes cut off outside a rectangle.
    Clip { rect: Rect, shapes: Vec<Shape> },
    /// Shapes at another place.
    Moved { by: Point, shapes: Vec<Shape> },
}

/// What a group is, for readers of the SVG: a page's style and script, or a screen reader.
#[derive(Debug, Default)]
pub(super) struct Tag {
    pub(super) class: &'static str,
    /// Read aloud, and shown under the pointer.
    pub(super) title: String,
    /// Attributes `data-NAME`.
    pub(super) data: Vec<(&'static str, String)>,
}

/// Which part of a text stands at its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The size of an exponent, and how far it is raised, as shares of the text's size.
pub(super) const POWER: (f64, f64) = (0.72, 0.38);

/// Lines one by one, drawn as one shape; nothing where there are none.
pub(super) fn lines(lines: impl Iterator<Item = [Point; 2]>, stroke: Stroke) -> Shape {
    Shape::Lines { runs: lines.map(Vec::from).collect(), stroke }
}

/// A text in the page's ink, level.
pub(super) fn text(at: Point, words: &str, size: f64, anchor: Anchor) -> Shape {
    Shape::Text { at, label: Label::words(words), size, anchor, turned: false, colour: Colour::Ink }
}
