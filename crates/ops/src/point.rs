//! Elementwise code that is known only when a model is built: straight-line programs over rows of one width.
//!
//! [`PointCode`] is made once. It is run in strips of a few hundred numbers, one instruction on the whole strip at a time, so that what an
//! instruction leaves for the next stays in the first-level cache. Instructions read and write the buffers in place; only what has
//! no place in them takes a register.

mod code;
mod run;

pub use code::{Place, PointCode, PointFunc, PointResult, PointStep};

use crate::isa::Kernels;

/// A buffer that a program reads or writes.
#[derive(Debug)]
pub enum Operand<'a> {
    /// Read only.
    Read(&'a [f32]),
    /// Written, and perhaps read too.
    Write(&'a mut [f32]),
}

impl Operand<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Read(x) => x.len(),
            Self::Write(x) => x.len(),
        }
    }
}

impl Kernels {
    /// Runs an elementwise program on `rows` rows. Every place is read as it was before the call, whatever the program writes there.
    ///
    /// # Panics
    /// If an operand doesn't hold all rows of a place in it, or one that is written is [`Operand::Read`].
    pub fn point(self, code: &PointCode, rows: usize, operands: &mut [Operand<'_>]) {
        for (i, place) in code.places.iter().enumerate() {
            let operand = &operands[place.operand];
            let end = rows.saturating_sub(1) * place.stride + place.column + code.width;
            assert!(rows == 0 || end <= operand.len(), "point: operand {} is too short", place.operand);
            if code.written[i] {
                let write = matches!(operand, Operand::Write(_));
                assert!(write, "point: operand {} is written", place.operand);
                let set = place.stride == 0 && !code.added[i];
                assert!(!set || rows <= 1, "point: several rows are written to one");
            }
        }
        if rows > 0 && code.width > 0 && !code.lines.is_empty() {
            self.run(run::Run { code, rows, operands });
        }
    }
}
