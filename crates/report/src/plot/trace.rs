//! A curve as geometry: unbroken runs of its line and of its shade.

use super::Curve;
use super::frame::{Frame, Point, Rect};

/// A curve up to this long shows its points as dots.
pub(super) const FEW: usize = 12;

/// The places of one curve.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trace {
    /// Points to join.
    pub(super) line: Vec<Vec<Point>>,
    /// The same of each seed.
    pub(super) seeds: Vec<Vec<Vec<Point>>>,
    /// Ends of the interval, to fill between or to join one by one.
    pub(super) shade: Vec<Vec<Slice>>,
    /// Whether the points are drawn too.
    pub(super) dots: bool,
}

/// A vertical slice of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slice {
    pub(super) x: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Trace {
    /// The places of `curve`, moved across by `aside`.
    pub(super) fn new(curve: &Curve, frame: &Frame, aside: f64) -> Self {
        let Curve { x, band, .. } = curve;
        let down = |y: Option<&f64>| frame.down(*y?);
        let places = || x.iter().map(|&x| Some(frame.across(x)? + aside));
        let line = |y: &[f64]| -> Vec<Vec<Point>> {
            let points = places().zip(y).map(|(x, y)| Some((x?, down(Some(y))?)));
            runs(points).into_iter().map(thin_line).collect()
        };
        let slices = places().take(band.mean.len()).enumerate().map(|(i, x)| {
            Some(Slice { x: x?, top: down(band.high.get(i))?, bottom: down(band.low.get(i))? })
        });
        Self {
            line: line(&band.mean),
            seeds: curve.seeds.iter().map(|seed| line(&seed.values)).collect(),
            shade: runs(slices).into_iter().map(thin_shade).collect(),
            dots: x.len().min(band.mean.len()) <= FEW,
        }
    }

    /// How many points its line has.
    pub(super) fn points(&self) -> usize {
        self.line.iter().map(Vec::len).sum()
    }

    /// Whether any of it lies within `rect`.
    pub(super) fn meets(&self, rect: &Rect) -> bool {
        let on_line = |run: &Vec<Point>| {
            let slices: Vec<Slice> = run.iter().map(|&(x, y)| Slice { x, top: y, bottom: y }).collect();
            strip_meets(&slices, rect)
        };
        let mut lines = self.line.iter().chain(self.seeds.iter().flatten());
        lines.any(on_line) || self.shade.iter().any(|run| strip_meets(run, rect))
    }
}

fn strip_meets(strip: &[Slice], rect: &Rect) -> bool {
    let inside = |s: &Slice| {
        (rect.left..=rect.right()).contains(&s.x) && s.bottom >= rect.top && s.top <= rect.bottom()
    };
    strip.iter().any(inside) || strip.windows(2).any(|pair| piece_meets(&pair[0], &pair[1], rect))
}

/// Whether the piece between two slices lies partly within `rect`.
fn piece_meets(a: &Slice, b: &Slice, rect: &Rect) -> bool {
    let (left, right) = (a.x.min(b.x).max(rect.left), a.x.max(b.x).min(rect.right()));
    if left > right {
        return false;
    }
    let at = |x: f64, from: f64, to: f64| {
        if a.x == b.x { from } else { from + (to - from) * (x - a.x) / (b.x - a.x) }
    };
    let top = at(left, a.top, b.top).min(at(right, a.top, b.top));
    let bottom = at(left, a.bottom, b.bottom).max(at(right, a.bottom, b.bottom));
    top <= rect.bottom() && bottom >= rect.top
}

/// Splits at the gaps.
fn runs<T>(items: impl Iterator<Item = Option<T>>) -> Vec<Vec<T>> {
    let mut runs = vec![Vec::new()];
    for item in items {
        match (item, runs.last_mut()) {
            (Some(item), Some(run)) => run.push(item),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// A run longer than this has more points than a figure can show.
const MANY: usize = 2000;

/// Where points share a quarter of a unit across, all that shows is the first, the last, the highest and the lowest.
fn thin_line(run: Vec<Point>) -> Vec<Point> {
    if run.len() <= MANY {
        return run;
    }
    let mut kept = Vec::new();
    for column in run.chunk_by(|a, b| (4.0 * a.0).floor() == (4.0 * b.0).floor()) {
        let by_height = |&i: &usize, &j: &usize| column[i].1.total_cmp(&column[j].1);
        let last = column.len() - 1;
        let (top, bottom) = ((0..=last).min_by(by_height), (0..=last).max_by(by_height));
        let mut shown = [0, top.unwrap_or(0), bottom.unwrap_or(0), last];
        shown.sort_unstable();
        kept.extend(
            shown.iter().enumerate().filter(|(n, i)| *n == 0 || shown[n - 1] != **i).map(|(_, &i)| column[i]),
        );
    }
    kept
}

/// The hull of the slices that share a quarter of a unit across.
fn thin_shade(run: Vec<Slice>) -> Vec<Slice> {
    if run.len() <= MANY {
        return run;
    }
    let hull = |a: Slice, b: &Slice| Slice { x: a.x, top: a.top.min(b.top), bottom: a.bottom.max(b.bottom) };
    let columns = run.chunk_by(|a, b| (4.0 * a.x).floor() == (4.0 * b.x).floor());
    columns.map(|column| column.iter().fold(column[0], hull)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::axis::Axis;
    use super::super::{Band, Curve, Scale};
    use super::*;

    fn frame() -> Frame {
        let axis =
            Axis { scale: Scale::Linear, low: 0.0, high: 10.0, whole: false, clipped: false, capped: false };
        Frame { rect: Rect { left: 0.0, top: 0.0, width: 100.0, height: 100.0 }, x: axis, y: axis }
    }

    fn trace(mean: &[f64]) -> Trace {
        let x = (0..mean.len()).map(|i| i as f64).collect();
        Trace::new(&Curve::model("m", x, Band::line(mean.to_vec())), &frame(), 0.0)
    }

    #[test]
    fn a_gap_parts_the_line() {
        let line = trace(&[f64::NAN, 1.0, 2.0, f64::NAN, f64::INFINITY, 3.0]).line;
        assert_eq!(line, [vec![(10.0, 90.0), (20.0, 80.0)], vec![(50.0, 70.0)]]);
        assert_eq!(trace(&[]).line, [[]; 0]);
    }

    #[test]
    fn a_missing_interval_leaves_no_shade() {
        let band = Band { mean: vec![1.0; 4], low: vec![0.5, 0.5, f64::NAN], high: vec![2.0; 4] };
        let trace = Trace::new(&Curve::model("m", vec![0.0, 1.0, 2.0, 3.0], band), &frame(), 0.0);
        assert_eq!(trace.shade.len(), 1);
        assert_eq!(trace.shade[0].len(), 2);
        assert_eq!(trace.line[0].len(), 4);
    }

    #[test]
    fn a_line_meets_what_it_passes_between_its_points() {
        let falling = trace(&[10.0, f64::NAN, 8.0, 0.0]);
        let rect = |left, top| Rect { left, top, width: 2.0, height: 2.0 };
        assert!(falling.meets(&rect(24.0, 54.0)), "on the segment");
        assert!(!falling.meets(&rect(24.0, 20.0)), "above it");
        assert!(!falling.meets(&rect(9.0, 10.0)), "in the gap");
        assert!(falling.meets(&rect(-1.0, -1.0)), "on the lone point");
    }

    #[test]
    fn thinning_keeps_the_extremes() {
        let mut mean = vec![5.0; 50_000];
        mean[31_234] = 9.0;
        let x = (0..mean.len()).map(|i| i as f64 / 5000.0).collect();
        let line = &Trace::new(&Curve::model("m", x, Band::line(mean)), &frame(), 0.0).line[0];
        assert!(line.len() < 2000, "{}", line.len());
        assert!(line.iter().any(|&(_, y)| (y - 10.0).abs() < 1e-9));
    }
}
