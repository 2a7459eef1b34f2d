//! Where everything in a panel goes.

use super::axis::Axis;
use super::frame::{Frame, Rect};
use super::legend::{self, Entry, Grid};
use super::panels::Panel;
use super::scene::POWER;
use super::style::{CROWDED, LABEL, REFERENCE, SMALL, Stroke, TITLE};
use super::ticks::{Label, Tick, ticks};
use super::trace::{FEW, Trace};
use super::{Curve, Figure, Intervals, Role, font};

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

/// Between the bars of two curves at one place.
const BESIDE: f64 = 5.0;

/// A panel with every place decided.
pub(super) struct Layout<'a> {
    pub(super) figure: &'a Figure,
    pub(super) frame: Frame,
    pub(super) title: Vec<String>,
    pub(super) x_ticks: Vec<Tick>,
    pub(super) y_ticks: Vec<Tick>,
    pub(super) flags: Vec<Flag<'a>>,
    pub(super) curves: Vec<Drawn<'a>>,
    pub(super) entries: Vec<Entry>,
    pub(super) legend: Legend,
    pub(super) height: f64,
}

/// A curve with its places and its stroke.
pub(super) struct Drawn<'a> {
    /// Its number in the figure.
    pub(super) number: usize,
    pub(super) curve: &'a Curve,
    pub(super) trace: Trace,
    pub(super) stroke: Stroke,
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
    /// `strokes` are those of all curves of the figure.
    pub(super) fn new(
        figure: &'a Figure,
        panel: &Panel,
        title: &str,
        (x, y): (Axis, Axis),
        strokes: &[Stroke],
    ) -> Self {
        let (width, height) = figure.size;
        let y_ticks = ticks(&y, (height / 38.0).max(2.0));
        let left = EDGE + LEADING * LABEL + NEAR + widest(&y_ticks) + NEAR + TICK;
        let rect = Rect { left, top: EDGE, width: width - left - 2.0 * EDGE, height: 0.0 };
        let x_ticks = ticks(&x, (rect.width / 50.0).max(2.0));
        let mut frame = Frame { rect, x, y };
        frame.rect.width = rect.width.min(width_beside(&x_ticks, &frame, width - EDGE));
        let title = font::wrap(title, TITLE, frame.rect.width + 2.0 * EDGE);

        let flags = flags(figure, &frame);
        let levels = flags.iter().map(|flag| flag.level + 1).max().unwrap_or(0);
        frame.rect.top += LEADING * (title.len() as f64 * TITLE + levels as f64 * SMALL) + ABOVE;
        frame.rect.height = height - frame.rect.top - (TICK + NEAR + SMALL + LEADING * LABEL + EDGE);

        let curves = drawn(figure, panel, &frame, strokes);
        let entries = entries(figure, &curves, width - 2.0 * EDGE);
        let traces: Vec<&Trace> = curves.iter().map(|drawn| &drawn.trace).collect();
        let place = legend::inside(&entries, &frame, &traces, &lines(figure, &frame));
        let legend =
            place.map_or_else(|| Legend::Below(legend::below(&entries, width - 2.0 * EDGE)), Legend::Inside);
        let added = match &legend {
            Legend::Below(grid) => grid.rows as f64 * legend::ROW + legend::PAD,
            Legend::Inside(_) => 0.0,
        };
        let height = height + added;
        Self { figure, frame, title, x_ticks, y_ticks, flags, curves, entries, legend, height }
    }
}

/// The axes that all panels of a figure share.
pub(super) fn axes(figure: &Figure) -> (Axis, Axis) {
    let few = figure.curves.iter().any(|curve| curve.x.len().min(curve.band.mean.len()) <= FEW);
    let x = figure.curves.iter().flat_map(|curve| &curve.x).copied();
    let x = x.chain(figure.markers.iter().map(|marker| marker.x));
    let y = figure.curves.iter().flat_map(Curve::heights);
    let y = y.chain(figure.reference.iter().map(|reference| reference.y));
    let ceiling = figure.ceiling.unwrap_or(f64::INFINITY);
    (Axis::horizontal(figure.x_scale, x, few), Axis::vertical(figure.y_scale, y, figure.floor, ceiling))
}

/// How wide the frame may be for the label of its last tick to end at `right`.
fn width_beside(ticks: &[Tick], frame: &Frame, right: f64) -> f64 {
    let room = |tick: &Tick| {
        let label = tick.label.as_ref()?;
        let place = frame.x.place(tick.at);
        (place > 0.5).then(|| (right - width_of(label) / 2.0 - frame.rect.left) / place)
    };
    ticks.iter().filter_map(room).fold(f64::INFINITY, f64::min)
}

/// The curves of a panel; bars stand side by side.
fn drawn<'a>(figure: &'a Figure, panel: &Panel, frame: &Frame, strokes: &[Stroke]) -> Vec<Drawn<'a>> {
    let is_model = |i: &usize| figure.curves[*i].role == Role::Model;
    let models: Vec<usize> = panel.curves.iter().copied().filter(is_model).collect();
    let aside = |i: usize| match models.iter().position(|&model| model == i) {
        Some(place) if figure.intervals == Intervals::Bars => {
            BESIDE * (place as f64 - (models.len() as f64 - 1.0) / 2.0)
        }
        _ => 0.0,
    };
    let draw = |&number: &usize| {
        let curve = &figure.curves[number];
        let trace = Trace::new(curve, frame, aside(number));
        let mut stroke = strokes[number];
        if trace.points() as f64 > 2.0 * frame.rect.width {
            stroke.width = CROWDED;
        }
        Drawn { number, curve, trace, stroke }
    };
    panel.curves.iter().map(draw).collect()
}

fn width_of(label: &Label) -> f64 {
    font::width(&label.text, SMALL) + font::width(&label.power, POWER.0 * SMALL)
}

/// The width of the widest label.
fn widest(ticks: &[Tick]) -> f64 {
    ticks.iter().filter_map(|tick| tick.label.as_ref()).map(width_of).fold(0.0, f64::max)
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
fn entries(figure: &Figure, curves: &[Drawn<'_>], limit: f64) -> Vec<Entry> {
    let curves = curves.iter().map(|drawn| {
        let Drawn { number, curve, trace, stroke } = drawn;
        Entry::new(Some(*number), &curve.name, *stroke, trace.dots, limit)
    });
    let reference = figure.reference.iter();
    let reference = reference.map(|reference| Entry::new(None, &reference.label, REFERENCE, false, limit));
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
