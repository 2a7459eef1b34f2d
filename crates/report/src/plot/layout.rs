//! Where everything on a figure goes.

use super::axis::Axis;
use super::canvas::POWER;
use super::frame::{Frame, Rect};
use super::legend::{self, Entry, Grid};
use super::style::{CROWDED, LABEL, REFERENCE, SMALL, Stroke, TITLE, strokes};
use super::ticks::{Label, Tick, ticks};
use super::trace::{FEW, Trace};
use super::{Figure, font};

/// The outer margin.
pub(super) const EDGE: f64 = 5.0;
/// The length of a major tick.
pub(super) const TICK: f64 = 3.5;
/// Between a tick or a line and its label.
pub(super) const NEAR: f64 = 3.0;
/// The height of a line of text over its size.
pub(super) const LEADING: f64 = 1.25;
/// Between the frame and what stands on it.
pub(super) const ABOVE: f64 = 3.0;

/// A figure with every place decided.
pub(super) struct Layout<'a> {
    pub(super) figure: &'a Figure,
    pub(super) frame: Frame,
    pub(super) title: Vec<String>,
    pub(super) x_ticks: Vec<Tick>,
    pub(super) y_ticks: Vec<Tick>,
    pub(super) flags: Vec<Flag<'a>>,
    pub(super) traces: Vec<Trace>,
    pub(super) strokes: Vec<Stroke>,
    pub(super) entries: Vec<Entry>,
    pub(super) legend: Legend,
    pub(super) height: f64,
}

/// A marker's line with its label beside the upper end, like a flag.
pub(super) struct Flag<'a> {
    pub(super) x: f64,
    pub(super) label: &'a str,
    pub(super) level: usize,
    pub(super) turned_back: bool,
}

/// Where the legend goes.
pub(super) enum Legend {
    Inside(Rect),
    Below(Grid),
}

impl<'a> Layout<'a> {
    pub(super) fn new(figure: &'a Figure) -> Self {
        let (width, height) = figure.size;
        let (x, y) = axes(figure);
        let mut y_ticks = ticks(&y, (height / 38.0).max(2.0));
        mark_clipped(&mut y_ticks, &y);
        let left = EDGE + LEADING * LABEL + NEAR + widest(&y_ticks) + NEAR + TICK;
        let rect = Rect { left, top: EDGE, width: width - left - 2.0 * EDGE, height: 0.0 };
        let x_ticks = ticks(&x, (rect.width / 50.0).max(2.0));
        let title = font::wrap(&figure.title, TITLE, rect.width + 2.0 * EDGE);
        let mut frame = Frame { rect, x, y };

        let flags = flags(figure, &frame);
        let levels = flags.iter().map(|flag| flag.level + 1).max().unwrap_or(0);
        frame.rect.top += LEADING * (title.len() as f64 * TITLE + levels as f64 * SMALL) + ABOVE;
        frame.rect.height = height - frame.rect.top - (TICK + NEAR + SMALL + LEADING * LABEL + EDGE);

        let traces: Vec<Trace> = figure.curves.iter().map(|curve| Trace::new(curve, &frame)).collect();
        let mut strokes = strokes(figure.curves.iter().map(|curve| curve.role));
        for (stroke, trace) in strokes.iter_mut().zip(&traces) {
            if trace.line.iter().map(Vec::len).sum::<usize>() as f64 > 2.0 * frame.rect.width {
                stroke.width = CROWDED;
            }
        }
        let entries = entries(figure, &traces, &strokes, width - 2.0 * EDGE);
        let place = legend::inside(&entries, &frame, &traces, &lines(figure, &frame));
        let legend =
            place.map_or_else(|| Legend::Below(legend::below(&entries, width - 2.0 * EDGE)), Legend::Inside);
        let added = match &legend {
            Legend::Below(grid) => grid.rows as f64 * legend::ROW + legend::PAD,
            Legend::Inside(_) => 0.0,
        };
        let height = height + added;
        Self { figure, frame, title, x_ticks, y_ticks, flags, traces, strokes, entries, legend, height }
    }
}

fn axes(figure: &Figure) -> (Axis, Axis) {
    let few = figure.curves.iter().any(|curve| curve.x.len().min(curve.band.mean.len()) <= FEW);
    let x = figure.curves.iter().flat_map(|curve| &curve.x).copied();
    let x = x.chain(figure.markers.iter().map(|marker| marker.x));
    let bands = figure.curves.iter().map(|curve| &curve.band);
    let y = bands.flat_map(|band| [&band.mean, &band.low, &band.high]).flatten().copied();
    let y = y.chain(figure.reference.iter().map(|reference| reference.y));
    let ceiling = figure.ceiling.unwrap_or(f64::INFINITY);
    (Axis::horizontal(figure.x_scale, x, few), Axis::vertical(figure.y_scale, y, figure.floor, ceiling))
}

/// Says at the lowest tick that values below it are drawn there.
fn mark_clipped(ticks: &mut [Tick], axis: &Axis) {
    let at_edge = |tick: &&mut Tick| axis.clipped && axis.place(tick.at) < 1e-6;
    for label in ticks.iter_mut().filter(at_edge).filter_map(|tick| tick.label.as_mut()) {
        label.text.insert_str(0, "≤ ");
    }
}

/// The width of the widest label.
fn widest(ticks: &[Tick]) -> f64 {
    let width = |label: &Label| font::width(&label.text, SMALL) + font::width(&label.power, POWER.0 * SMALL);
    ticks.iter().filter_map(|tick| tick.label.as_ref()).map(width).fold(0.0, f64::max)
}

/// Each marker with its label to the right, on the lowest level where it covers no other label. Those further right
/// go first, so that no line runs through a label.
fn flags<'a>(figure: &'a Figure, frame: &Frame) -> Vec<Flag<'a>> {
    let placed =
        figure.markers.iter().filter_map(|marker| Some((frame.across(marker.x)?, marker.label.as_str())));
    let mut placed: Vec<(f64, &str)> = placed.collect();
    placed.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut taken: Vec<f64> = Vec::new();
    let mut flags = Vec::new();
    for (x, label) in placed {
        let width = font::width(label, SMALL) + 2.0 * NEAR;
        let turned_back = x + width > frame.rect.right() + EDGE;
        let (from, to) = if turned_back { (x - width, x) } else { (x, x + width) };
        let level = taken.iter().position(|&left| to <= left).unwrap_or(taken.len());
        taken.resize(taken.len().max(level + 1), f64::INFINITY);
        taken[level] = from;
        flags.push(Flag { x, label, level, turned_back });
    }
    flags
}

/// The legend: curves in their order, then the reference.
fn entries(figure: &Figure, traces: &[Trace], strokes: &[Stroke], limit: f64) -> Vec<Entry> {
    let curves = figure.curves.iter().zip(traces).zip(strokes);
    let curves = curves.map(|((curve, trace), &stroke)| Entry::new(&curve.name, stroke, trace.dots, limit));
    let reference = figure.reference.iter();
    let reference = reference.map(|reference| Entry::new(&reference.label, REFERENCE, false, limit));
    curves.chain(reference).collect()
}

/// The straight lines a legend should not cover.
fn lines(figure: &Figure, frame: &Frame) -> Vec<Rect> {
    let Rect { left, top, width, height } = frame.rect;
    let markers = figure.markers.iter().filter_map(|marker| frame.across(marker.x));
    let markers = markers.map(|left| Rect { left, top, width: 0.0, height });
    let reference = figure.reference.iter().filter_map(|reference| frame.down(reference.y));
    let reference = reference.map(|top| Rect { left, top, width, height: 0.0 });
    markers.chain(reference).collect()
}
