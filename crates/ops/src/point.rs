//! Elementwise code that is known only when a model is built: straight-line programs over rows of one width.
//!
//! [`PointCode`] is made once. It is run in strips of a few hundred numbers, one instruction on the whole strip at a time, so that what an
//! instruction leaves for the next stays in the first-level cache. Instructions read and write the buffers in place; only what has
//! no place in them takes a register.

mod code;
mod run;

pub use code::{Place, PointCode, PointFunc, PointResult, PointStep};

use self::run::{Cursor, Run};
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
    /// What is written.
    ///
    /// # Panics
    /// If it is read only.
    pub fn written(&mut self) -> &mut [f32] {
        match self {
            Self::Read(_) => panic!("an operand that is read only is written"),
            Self::Write(x) => x,
        }
    }
}

/// Registers and places that fit a table on the stack.
const SMALL: usize = 32;

impl Kernels {
    /// Runs an elementwise program on `rows` rows of each place, those of the operands' block `block`. Every place is read as it was before the call,
    /// whatever the program writes there.
    ///
    /// # Panics
    /// If an operand doesn't hold all rows of a place in it, or one that is written is [`Operand::Read`].
    pub fn point(self, code: &PointCode, rows: usize, block: usize, operands: &mut [Operand<'_>]) {
        if rows == 0 || code.width == 0 || code.lines.is_empty() {
            return;
        }
        assert!(rows == 1 || !code.single, "point: several rows are written to one");
        let mut small = [Cursor { at: std::ptr::null_mut(), step: 0 }; SMALL];
        let mut large = Vec::new();
        let count = code.registers + code.places.len();
        let cursors = if count <= SMALL {
            &mut small[..count]
        } else {
            large.resize(count, small[0]);
            &mut large[..]
        };
        for ((place, written), cursor) in
            code.places.iter().zip(&code.written).zip(&mut cursors[code.registers..])
        {
            let first = place.block.map_or(0, |later| (block + later) * rows * place.stride) + place.column;
            let (at, len) = match &mut operands[place.operand] {
                Operand::Read(_) if *written => panic!("point: operand {} is written", place.operand),
                Operand::Read(x) => (x.as_ptr().cast_mut(), x.len()),
                Operand::Write(x) => (x.as_mut_ptr(), x.len()),
            };
            let end = first + (rows - 1) * place.stride + code.width;
            assert!(end <= len, "point: operand {} is too short", place.operand);
            // SAFETY: `first` is within the operand.
            *cursor = Cursor { at: unsafe { at.add(first) }, step: place.stride };
        }
        let (rows, width) = if code.joined { (1, rows * code.width) } else { (rows, code.width) };
        self.run(Run { code, rows, width, cursors });
    }
}
