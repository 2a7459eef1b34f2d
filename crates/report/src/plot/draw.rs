//! A layout drawn, from the back to the front.

use super::canvas::{Anchor, Canvas};
use super::frame::{Point, Rect};
use super::layout::{ABOVE, EDGE, LEADING, Layout, Legend, NEAR, TICK};
use super::legend::{self, Entry};
use super::style::{BORDER, GRID, LABEL, MARKER, REFERENCE, SMALL, Stroke, TITLE};
use super::ticks::{Label, Tick};
use super::trace::Trace;
use super::{Figure, Role};

/// From the middle of a digit to its baseline, over the size.
const HALF_DIGIT: f64 = 0.35;
/// Shades let what they overlap show.
const SHADE: f64 = 0.18;

impl Figure {
    /// The figure as an SVG document, the same bytes for the same figure. Its text asks for a font family of one
    /// width; its ink and paper can be recoloured by a page around it (`color`, and the class `paper`).
    #[must_use]
    pub fn svg(&self) -> String {
        let layout = Layout::new(self);
        let mut canvas = Canvas::new((self.size.0, layout.height), &self.title);
        layout.draw_grid(&mut canvas);
        layout.draw_flags(&mut canvas);
        layout.draw_axes(&mut canvas);
        layout.draw_data(&mut canvas);
        layout.draw_tick_labels(&mut canvas);
        layout.draw_titles(&mut canvas);
        layout.draw_legend(&mut canvas);
        canvas.finish()
    }
}

impl Layout<'_> {
    /// The ticks of x with their places.
    fn below(&self) -> impl Iterator<Item = (f64, &Tick)> {
        self.x_ticks.iter().filter_map(|tick| Some((self.frame.across(tick.at)?, tick)))
    }

    /// The ticks of y with their places.
    fn beside(&self) -> impl Iterator<Item = (f64, &Tick)> {
        self.y_ticks.iter().filter_map(|tick| Some((self.frame.down(tick.at)?, tick)))
    }

    fn draw_grid(&self, canvas: &mut Canvas) {
        let rect = &self.frame.rect;
        let labelled = |(_, tick): &(f64, &Tick)| tick.label.is_some();
        let level = self.beside().filter(labelled).map(|(y, _)| [(rect.left, y), (rect.right(), y)]);
        let upright = self.below().filter(labelled).map(|(x, _)| [(x, rect.top), (x, rect.bottom())]);
        draw_lines(canvas, level.chain(upright), GRID);
    }

    fn draw_flags(&self, canvas: &mut Canvas) {
        for flag in &self.flags {
            let baseline = self.frame.rect.top - ABOVE - flag.level as f64 * LEADING * SMALL;
            let line = [(flag.x, self.frame.rect.bottom()), (flag.x, baseline - 2.0 * HALF_DIGIT * SMALL)];
            draw_lines(canvas, [line].into_iter(), MARKER);
            let (x, anchor) = match flag.turned_back {
                true => (flag.x - NEAR, Anchor::End),
                false => (flag.x + NEAR, Anchor::Start),
            };
            canvas.text((x, baseline), &words(flag.label), SMALL, anchor, false);
        }
    }

    fn draw_axes(&self, canvas: &mut Canvas) {
        let (left, top, right, bottom) = edges(&self.frame.rect);
        canvas.line([&[(left, top), (left, bottom), (right, bottom)][..]], Stroke::ink(0.8));
        let length = |tick: &Tick| if tick.label.is_some() { TICK } else { 0.55 * TICK };
        let below = self.below().map(|(x, tick)| [(x, bottom), (x, bottom + length(tick))]);
        let beside = self.beside().map(|(y, tick)| [(left - length(tick), y), (left, y)]);
        draw_lines(canvas, below.chain(beside), Stroke::ink(0.7));
    }

    fn draw_data(&self, canvas: &mut Canvas) {
        // Room for half a line's width, so that a line along an edge keeps its thickness.
        let Rect { left, top, width, height } = self.frame.rect;
        let window = Rect { left: left - 1.0, top: top - 1.0, width: width + 2.0, height: height + 2.0 };
        canvas.clipped(&window, |canvas| {
            for (trace, stroke) in self.traces.iter().zip(&self.strokes) {
                draw_shade(canvas, trace, stroke.colour);
            }
            let reference = self.figure.reference.as_ref().and_then(|reference| self.frame.down(reference.y));
            draw_lines(canvas, reference.map(|y| [(left, y), (left + width, y)]).into_iter(), REFERENCE);
            for role in [Role::Baseline, Role::Model] {
                let curves = self.figure.curves.iter().zip(&self.traces).zip(&self.strokes);
                for ((curve, trace), stroke) in curves.filter(|((curve, _), _)| curve.role == role) {
                    canvas.group(&curve.name, |canvas| draw_trace(canvas, trace, *stroke));
                }
            }
        });
    }

    fn draw_tick_labels(&self, canvas: &mut Canvas) {
        let baseline = self.frame.rect.bottom() + TICK + NEAR + 2.0 * HALF_DIGIT * SMALL;
        for (x, label) in self.below().filter_map(|(x, tick)| Some((x, tick.label.as_ref()?))) {
            canvas.text((x, baseline), label, SMALL, Anchor::Middle, false);
        }
        let right = self.frame.rect.left - TICK - NEAR;
        for (y, label) in self.beside().filter_map(|(y, tick)| Some((y, tick.label.as_ref()?))) {
            canvas.text((right, y + HALF_DIGIT * SMALL), label, SMALL, Anchor::End, false);
        }
    }

    fn draw_titles(&self, canvas: &mut Canvas) {
        let Rect { left, top, width, height } = self.frame.rect;
        let centre = left + width / 2.0;
        let x_label = (centre, self.frame.rect.bottom() + TICK + NEAR + SMALL + 0.9 * LABEL);
        canvas.text(x_label, &words(&self.figure.x_label), LABEL, Anchor::Middle, false);
        let y_label = (EDGE + 0.8 * LABEL, top + height / 2.0);
        canvas.text(y_label, &words(&self.figure.y_label), LABEL, Anchor::Middle, true);
        for (i, line) in self.title.iter().enumerate() {
            let baseline = EDGE + (0.85 + LEADING * i as f64) * TITLE;
            canvas.text((centre, baseline), &words(line), TITLE, Anchor::Middle, false);
        }
    }

    fn draw_legend(&self, canvas: &mut Canvas) {
        if self.entries.is_empty() {
            return;
        }
        let (origin, rows, pitch) = match &self.legend {
            Legend::Inside(rect) => {
                canvas.paper(rect, 0.85);
                let (left, top, right, bottom) = edges(rect);
                let outline = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
                canvas.line([&outline[..]], BORDER);
                ((left + legend::PAD, top + legend::PAD), self.entries.len(), 0.0)
            }
            Legend::Below(grid) => {
                let (page, width) = (self.figure.size.0, grid.columns as f64 * grid.pitch);
                let centred = self.frame.rect.left + (self.frame.rect.width - width) / 2.0;
                let left = centred.min(page - EDGE - width).max(EDGE);
                ((left, self.figure.size.1 + legend::PAD / 2.0), grid.rows, grid.pitch)
            }
        };
        for (i, entry) in self.entries.iter().enumerate() {
            let (column, row) = (i / rows, i % rows);
            let place = (origin.0 + column as f64 * pitch, origin.1 + (row as f64 + 0.5) * legend::ROW);
            draw_entry(canvas, entry, place);
        }
    }
}

fn draw_entry(canvas: &mut Canvas, entry: &Entry, (x, y): Point) {
    draw_lines(canvas, [[(x, y), (x + legend::KEY, y)]].into_iter(), entry.stroke);
    if entry.dot {
        draw_dot(canvas, (x + legend::KEY / 2.0, y), entry.stroke);
    }
    let place = (x + legend::KEY + legend::GAP, y + HALF_DIGIT * SMALL);
    canvas.text(place, &words(&entry.name), SMALL, Anchor::Start, false);
}

fn draw_shade(canvas: &mut Canvas, trace: &Trace, colour: &str) {
    for run in &trace.shade {
        let upper = run.iter().map(|slice| (slice.x, slice.top));
        let lower = run.iter().rev().map(|slice| (slice.x, slice.bottom));
        canvas.area(&upper.chain(lower).collect::<Vec<_>>(), colour, SHADE);
    }
}

/// Lines, and dots for a curve of few points or a point that stands alone.
fn draw_trace(canvas: &mut Canvas, trace: &Trace, stroke: Stroke) {
    canvas.line(trace.line.iter().filter(|run| run.len() > 1).map(Vec::as_slice), stroke);
    for run in trace.line.iter().filter(|run| trace.dots || run.len() == 1) {
        for &point in run {
            draw_dot(canvas, point, stroke);
        }
    }
}

fn draw_dot(canvas: &mut Canvas, at: Point, stroke: Stroke) {
    canvas.dot(at, 1.2 * stroke.width, stroke.colour);
}

fn draw_lines(canvas: &mut Canvas, lines: impl Iterator<Item = [Point; 2]>, stroke: Stroke) {
    let lines: Vec<[Point; 2]> = lines.collect();
    canvas.line(lines.iter().map(|line| &line[..]), stroke);
}

fn edges(rect: &Rect) -> (f64, f64, f64, f64) {
    (rect.left, rect.top, rect.right(), rect.bottom())
}

fn words(text: &str) -> Label {
    Label { text: text.into(), power: String::new() }
}
