//! Memory that starts on a cache line: packed weights, activations, scratch.

use std::ops::{Deref, DerefMut};

/// One cache line, and one AVX-512 register.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

const LINE: usize = 16;

/// A slice of `f32` that starts on a 64-byte boundary, so that full-width loads never straddle two cache lines.
#[derive(Clone, Default)]
pub struct AlignedBuffer {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zeros.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        Self { lines: vec![Line([0.0; LINE]); len.div_ceil(LINE)], len }
    }

    /// Makes the buffer hold exactly `len` values; what they are means nothing. Memory is kept when it shrinks, and is as
    /// much as the greatest length needs: old memory is given back before new is taken.
    pub fn resize(&mut self, len: usize) {
        let lines = len.div_ceil(LINE);
        if lines > self.lines.len() {
            self.lines = Vec::new();
            self.lines = vec![Line([0.0; LINE]); lines];
        }
        self.len = len;
    }

    /// The first `len` values, growing the buffer where it is shorter. What they hold is left over from earlier uses.
    pub(crate) fn at_least(&mut self, len: usize) -> &mut [f32] {
        if len > self.len {
            self.resize(len);
        }
        &mut self[..len]
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `len.div_ceil(16)` initialised lines (every constructor and `resize` see to
        // it), each is exactly 16 `f32` without padding, and the borrow of `self` covers the result.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; `&mut self` makes the borrow unique.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl std::fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBuffer({} values)", self.len)
    }
}

/// Working memory of the kernels that need some; one a thread, reused for every call.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pub(crate) floats: AlignedBuffer,
}

impl Scratch {
    /// Empty; it grows with use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
