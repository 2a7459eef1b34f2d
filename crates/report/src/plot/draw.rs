//! A layout as shapes, from the back to the front.

use super::axis::Axis;
use super::frame::{Point, Rect};
use super::layout::{ABOVE, Drawn, EDGE, LEADING, Layout, Legend, NEAR, TICK};
use super::legend::{self, Entry};
use super::scene::{Anchor, Shape, Tag, lines, text};
use super::style::{BAR, BORDER, Colour, GRID, LABEL, MARKER, REFERENCE, SMALL, Stroke, TITLE};
use super::ticks::{Label, Tick};
use super::{Intervals, Role};

/// From the middle of a digit to its baseline, over the size.
pub(super) const HALF_DIGIT: f64 = 0.35;
/// Shades let what they overlap show.
const SHADE: f64 = 0.18;
/// Half the width of the ends of a bar.
const END: f64 = 1.8;

impl Layout<'_> {
    /// The panel as one group, which tells a script where its frame is and what its axes show.
    pub(super) fn shapes(&self) -> Shape {
        let mut shapes = vec![self.grid()];
        shapes.extend(self.flags());
        shapes.extend(self.axes());
        shapes.push(self.data());
        shapes.extend(self.tick_labels());
        shapes.extend(self.titles());
        shapes.extend(self.legend());
        let Rect { left, top, width, height } = self.frame.rect;
        let data = vec![
            ("frame", [left, top, width, height].map(|side| format!("{side:.2}")).join(" ")),
            ("x", words_of(&self.frame.x)),
            ("y", words_of(&self.frame.y)),
        ];
        Shape::Group { tag: Tag { class: "panel", data, ..Tag::default() }, shapes }
    }

    /// The ticks of x with their places.
    fn below(&self) -> impl Iterator<Item = (f64, &Tick)> {
        self.x_ticks.iter().filter_map(|tick| Some((self.frame.across(tick.at)?, tick)))
    }

    /// The ticks of y with their places.
    fn beside(&self) -> impl Iterator<Item = (f64, &Tick)> {
        self.y_ticks.iter().filter_map(|tick| Some((self.frame.down(tick.at)?, tick)))
    }

    fn grid(&self) -> Shape {
        let rect = &self.frame.rect;
        let labelled = |(_, tick): &(f64, &Tick)| tick.label.is_some();
        let level = self.beside().filter(labelled).map(|(y, _)| [(rect.left, y), (rect.right(), y)]);
        let upright = self.below().filter(labelled).map(|(x, _)| [(x, rect.top), (x, rect.bottom())]);
        lines(level.chain(upright), GRID)
    }

    fn flags(&self) -> Vec<Shape> {
        let flag = |flag: &super::layout::Flag<'_>| {
            let baseline = self.frame.rect.top - ABOVE - flag.level as f64 * LEADING * SMALL;
            let pole = [(flag.x, self.frame.rect.bottom()), (flag.x, baseline - 2.0 * HALF_DIGIT * SMALL)];
            let (x, anchor) = match flag.turned_back {
                true => (flag.x - NEAR, Anchor::End),
                false => (flag.x + NEAR, Anchor::Start),
            };
            [lines([pole].into_iter(), MARKER), text((x, baseline), flag.label, SMALL, anchor)]
        };
        self.flags.iter().flat_map(flag).collect()
    }

    fn axes(&self) -> [Shape; 2] {
        let (left, top, right, bottom) = edges(&self.frame.rect);
        let corner = vec![vec![(left, top), (left, bottom), (right, bottom)]];
        let length = |tick: &Tick| if tick.label.is_some() { TICK } else { 0.55 * TICK };
        let below = self.below().map(|(x, tick)| [(x, bottom), (x, bottom + length(tick))]);
        let beside = self.beside().map(|(y, tick)| [(left - length(tick), y), (left, y)]);
        [
            Shape::Lines { runs: corner, stroke: Stroke::ink(0.8) },
            lines(below.chain(beside), Stroke::ink(0.7)),
        ]
    }

    fn data(&self) -> Shape {
        // Room for half a line's width, so that a line along an edge keeps its thickness.
        let Rect { left, top, width, height } = self.frame.rect;
        let window = Rect { left: left - 1.0, top: top - 1.0, width: width + 2.0, height: height + 2.0 };
        let shaded = |drawn: &&Drawn<'_>| drawn.trace.shade.iter().any(|run| run.len() > 1);
        let mut shapes: Vec<Shape> = match self.figure.intervals {
            Intervals::Shade => self.curves.iter().filter(shaded).map(shade).collect(),
            Intervals::Bars => Vec::new(),
        };
        let reference = self.figure.reference.as_ref().and_then(|reference| self.frame.down(reference.y));
        shapes.push(lines(reference.map(|y| [(left, y), (left + width, y)]).into_iter(), REFERENCE));
        for role in [Role::Baseline, Role::Model] {
            let of_role = self.curves.iter().filter(|drawn| drawn.curve.role == role);
            shapes.extend(of_role.map(|drawn| curve(drawn, self.figure.intervals)));
        }
        Shape::Clip { rect: window, shapes }
    }

    fn tick_labels(&self) -> Vec<Shape> {
        let ink = |at, label: &Label, anchor| Shape::Text {
            at,
            label: label.clone(),
            size: SMALL,
            anchor,
            turned: false,
            colour: Colour::Ink,
        };
        let baseline = self.frame.rect.bottom() + TICK + NEAR + 2.0 * HALF_DIGIT * SMALL;
        let below = self.below().filter_map(|(x, tick)| Some((x, tick.label.as_ref()?)));
        let below = below.map(|(x, label)| ink((x, baseline), label, Anchor::Middle));
        let right = self.frame.rect.left - TICK - NEAR;
        let beside = self.beside().filter_map(|(y, tick)| Some((y, tick.label.as_ref()?)));
        let beside = beside.map(|(y, label)| ink((right, y + HALF_DIGIT * SMALL), label, Anchor::End));
        below.chain(beside).collect()
    }

    fn titles(&self) -> Vec<Shape> {
        let Rect { left, top, width, height } = self.frame.rect;
        let centre = left + width / 2.0;
        let below = (centre, self.frame.rect.bottom() + TICK + NEAR + SMALL + 0.9 * LABEL);
        let mut shapes = vec![
            text(below, &self.figure.x_label, LABEL, Anchor::Middle),
            Shape::Text {
                at: (EDGE + 0.8 * LABEL, top + height / 2.0),
                label: Label::words(&self.figure.y_label),
                size: LABEL,
                anchor: Anchor::Middle,
                turned: true,
                colour: Colour::Ink,
            },
        ];
        let title = self.title.iter().enumerate().map(|(i, line)| {
            let baseline = EDGE + (0.85 + LEADING * i as f64) * TITLE;
            text((centre, baseline), line, TITLE, Anchor::Middle)
        });
        shapes.extend(title);
        shapes
    }

    fn legend(&self) -> Vec<Shape> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        let mut shapes = Vec::new();
        let (origin, rows, pitch) = match &self.legend {
            Legend::Inside(rect) => {
                let (left, top, right, bottom) = edges(rect);
                let outline = vec![(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
                shapes.push(Shape::Paper { rect: *rect, opacity: 0.85 });
                shapes.push(Shape::Lines { runs: vec![outline], stroke: BORDER });
                ((left + legend::PAD, top + legend::PAD), self.entries.len(), 0.0)
            }
            Legend::Below(grid) => {
                let (page, width) = (self.figure.size.0, grid.columns as f64 * grid.pitch);
                let centred = self.frame.rect.left + (self.frame.rect.width - width) / 2.0;
                let left = centred.min(page - EDGE - width).max(EDGE);
                ((left, self.figure.size.1 + legend::PAD / 2.0), grid.rows, grid.pitch)
            }
        };
        shapes.extend(self.entries.iter().enumerate().map(|(i, named)| {
            let (column, row) = (i / rows, i % rows);
            entry(named, (origin.0 + column as f64 * pitch, origin.1 + (row as f64 + 0.5) * legend::ROW))
        }));
        shapes
    }
}

/// A line of the legend; one that names a curve tells a script which.
fn entry(entry: &Entry, (x, y): Point) -> Shape {
    let mut shapes = vec![lines([[(x, y), (x + legend::KEY, y)]].into_iter(), entry.stroke)];
    if entry.dot {
        shapes.push(dot((x + legend::KEY / 2.0, y), entry.stroke));
    }
    let place = (x + legend::KEY + legend::GAP, y + HALF_DIGIT * SMALL);
    shapes.push(text(place, &entry.name, SMALL, Anchor::Start));
    let tag = entry.curve.map(|number| Tag {
        class: "entry",
        data: vec![("curve", number.to_string())],
        ..Tag::default()
    });
    Shape::Group { tag: tag.unwrap_or_default(), shapes }
}

fn shade(drawn: &Drawn<'_>) -> Shape {
    let runs = drawn.trace.shade.iter().filter(|run| run.len() > 1);
    let area = |run: &Vec<super::trace::Slice>| {
        let upper = run.iter().map(|slice| (slice.x, slice.top));
        let lower = run.iter().rev().map(|slice| (slice.x, slice.bottom));
        Shape::Area { outline: upper.chain(lower).collect(), colour: drawn.stroke.colour, opacity: SHADE }
    };
    let tag = Tag { class: "shade", data: vec![("curve", drawn.number.to_string())], ..Tag::default() };
    Shape::Group { tag, shapes: runs.map(area).collect() }
}

/// Lines, thin ones for seeds, and dots for a curve of few points or a point that stands alone.
fn curve(drawn: &Drawn<'_>, intervals: Intervals) -> Shape {
    let Drawn { number, curve, trace, stroke } = drawn;
    let joined = |line: &[Vec<Point>], stroke| Shape::Lines {
        runs: line.iter().filter(|run| run.len() > 1).cloned().collect(),
        stroke,
    };
    let mut shapes: Vec<Shape> = trace.seeds.iter().map(|seed| joined(seed, stroke.of_a_seed())).collect();
    if intervals == Intervals::Bars {
        shapes.push(bars(drawn));
    }
    shapes.push(joined(&trace.line, *stroke));
    let lone = trace.line.iter().filter(|run| trace.dots || run.len() == 1);
    shapes.extend(lone.flatten().map(|&point| dot(point, *stroke)));
    let data = vec![("curve", number.to_string())];
    Shape::Group { tag: Tag { class: "curve", title: curve.name.clone(), data }, shapes }
}

/// Upright bars with level ends.
fn bars(drawn: &Drawn<'_>) -> Shape {
    let slices = drawn.trace.shade.iter().flatten();
    let bar = |slice: &super::trace::Slice| {
        let super::trace::Slice { x, top, bottom } = *slice;
        [[(x, top), (x, bottom)], [(x - END, top), (x + END, top)], [(x - END, bottom), (x + END, bottom)]]
    };
    lines(slices.flat_map(bar), Stroke { width: BAR, dash: &[], ..drawn.stroke })
}

fn dot(at: Point, stroke: Stroke) -> Shape {
    Shape::Dot { at, radius: 1.2 * stroke.width, colour: stroke.colour, opacity: stroke.opacity }
}

/// An axis for a script: its scale and its ends.
fn words_of(axis: &Axis) -> String {
    format!("{} {:e} {:e}", axis.scale.name(), axis.low, axis.high)
}

fn edges(rect: &Rect) -> (f64, f64, f64, f64) {
    (rect.left, rect.top, rect.right(), rect.bottom())
}
