//! Rectangles, and the one the data is drawn in.

use super::Scale;
use super::axis::{Axis, TINY, drawable};

/// A place on the figure, from its upper left corner.
pub(super) type Point = (f64, f64);

/// An upright rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Rect {
    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

/// The inside of the axes: maps values to places.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) rect: Rect,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Frame {
    /// Where `x` stands, if the axis has a place for it.
    pub(super) fn across(&self, x: f64) -> Option<f64> {
        let shown = drawable(x) && (x > TINY || self.x.scale == Scale::Linear);
        shown.then(|| self.rect.left + self.x.place(x) * self.rect.width)
    }

    /// Where `y` stands, if it is a number.
    pub(super) fn down(&self, y: f64) -> Option<f64> {
        drawable(y).then(|| self.rect.bottom() - self.y.place(y) * self.rect.height)
    }
}
