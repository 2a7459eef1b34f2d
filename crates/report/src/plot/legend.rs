//! Where the legend goes: inside the frame where nothing is drawn, or else below.

use super::font;
use super::frame::{Frame, Rect};
use super::style::{SMALL, Stroke};
use super::trace::Trace;
use crate::escape::one_line;

/// The height of an entry.
pub(super) const ROW: f64 = 12.5;
/// The length of the stroke before a name.
pub(super) const KEY: f64 = 20.0;
/// Between stroke and name.
pub(super) const GAP: f64 = 5.0;
/// Around the entries.
pub(super) const PAD: f64 = 4.0;
/// Between two columns below the frame.
const BETWEEN: f64 = 14.0;
/// Between the frame and a legend inside it, and between that and the data.
const CLEAR: f64 = 5.0;

/// A line of the legend.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Which of the figure's curves it names; none for the line of reference.
    pub(super) curve: Option<usize>,
    pub(super) name: String,
    pub(super) stroke: Stroke,
    pub(super) dot: bool,
    pub(super) width: f64,
}

impl Entry {
    /// An entry whose name is cut to fit into `limit`.
    pub(super) fn new(curve: Option<usize>, name: &str, stroke: Stroke, dot: bool, limit: f64) -> Self {
        let name = font::shorten(&one_line(name), SMALL, limit - KEY - GAP);
        let width = KEY + GAP + font::width(&name, SMALL);
        Self { curve, name, stroke, dot, width }
    }
}

/// How the entries are arranged: in rows of `columns`, each `pitch` wide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) columns: usize,
    pub(super) pitch: f64,
    pub(super) rows: usize,
}

/// As many columns as `limit` has room for, no more than needed for the number of rows that makes.
pub(super) fn below(entries: &[Entry], limit: f64) -> Grid {
    let pitch = widest(entries) + BETWEEN;
    let most = (((limit + BETWEEN) / pitch).floor() as usize).max(1);
    let rows = entries.len().div_ceil(most);
    Grid { columns: entries.len().div_ceil(rows.max(1)).max(1), pitch, rows }
}

/// A free place in the frame for all entries in one column: a corner, or else anywhere along the edges.
pub(super) fn inside(entries: &[Entry], frame: &Frame, traces: &[&Trace], lines: &[Rect]) -> Option<Rect> {
    let (width, height) = (widest(entries) + 2.0 * PAD, entries.len() as f64 * ROW + 2.0 * PAD);
    let Rect { left, top, .. } = frame.rect;
    let (spare_x, spare_y) =
        (frame.rect.width - width - 2.0 * CLEAR, frame.rect.height - height - 2.0 * CLEAR);
    if spare_x < 0.0 || spare_y < 0.0 {
        return None;
    }
    const CORNERS: [(f64, f64); 4] = [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1.0, 1.0)];
    const STEPS: [f64; 9] = [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9];
    let edges = STEPS.iter().flat_map(|&s| [(s, 0.0), (1.0, s), (s, 1.0), (0.0, s)]);
    let place =
        |(x, y)| Rect { left: left + CLEAR + x * spare_x, top: top + CLEAR + y * spare_y, width, height };
    let free = |rect: &Rect| {
        let around = Rect {
            left: rect.left - CLEAR,
            top: rect.top - CLEAR,
            width: rect.width + 2.0 * CLEAR,
            height: rect.height + 2.0 * CLEAR,
        };
        let apart = |line: &Rect| {
            line.left > around.right()
                || line.right() < around.left
                || line.top > around.bottom()
                || line.bottom() < around.top
        };
        lines.iter().all(apart) && !traces.iter().any(|trace| trace.meets(&around))
    };
    CORNERS.into_iter().chain(edges).map(place).find(free)
}

fn widest(entries: &[Entry]) -> f64 {
    entries.iter().map(|entry| entry.width).fold(0.0, f64::max)
}
