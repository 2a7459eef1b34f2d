//! A figure as pixels.

use super::{Figure, font};
use crate::Error;
use resvg::tiny_skia::{Pixmap, Transform};

impl Figure {
    /// The figure as the bytes of a PNG file, `scale` pixels to a unit of [`Figure::size`]: at 3 a [`super::COLUMN`]
    /// has 288 dots an inch. It is [`Figure::svg`], rasterised.
    pub fn png(&self, scale: f32) -> Result<Vec<u8>, Error> {
        let failed = |reason: String| Error::Render { title: self.title.clone(), reason };
        let tree = font::parse(&self.svg()).map_err(|e| failed(e.to_string()))?;
        let [width, height] =
            [tree.size().width(), tree.size().height()].map(|side| (side * scale).round() as u32);
        let mut pixels = Pixmap::new(width, height)
            .ok_or_else(|| failed(format!("{width} x {height} pixels cannot be had")))?;
        resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
        pixels.encode_png().map_err(|e| failed(e.to_string()))
    }
}
