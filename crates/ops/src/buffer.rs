//! Memory that starts on a cache line: packed weights, activations, scratch.

use std::ops::{Deref, DerefMut};

/// Floats of a cache line, and of an AVX-512 register.
const LINE: usize = 16;

/// A slice of `f32` that starts on a 64-byte boundary, so that full-width loads never straddle two cache lines.
///
/// It looks for the boundary itself, in memory that is a little longer. Memory that is asked for at a boundary, glibc doesn't find again after it
/// was given back: a process that asks for gradients at each step then grows to several times their size.
#[derive(Default)]
pub struct AlignedBuffer {
    memory: Vec<f32>,
    /// Where the boundary is.
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zeros.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        if len == 0 {
            return Self::default();
        }
        let memory = vec![0.0_f32; len + LINE - 1];
        let start = memory.as_ptr().align_offset(LINE * size_of::<f32>());
        Self { memory, start, len }
    }

    /// Makes the buffer hold exactly `len` values; what they are means nothing. Memory is kept when it shrinks, and is as
    /// much as the greatest length needs: old memory is given back before new is taken.
    pub fn resize(&mut self, len: usize) {
        if self.start + len > self.memory.len() {
            *self = Self::default();
            *self = Self::zeros(len);
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

impl Clone for AlignedBuffer {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.len]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_on_a_cache_line_whatever_becomes_of_it() {
        let mut buffer = AlignedBuffer::default();
        assert!(buffer.is_empty());
        for len in [5, 1, 0, 16, 1000, 40, 100_000] {
            buffer.resize(len);
            buffer.fill(len as f32);
            let copy = buffer.clone();
            for buffer in [&buffer, &copy, &AlignedBuffer::zeros(len)] {
                assert_eq!(buffer.len(), len);
                assert!(len == 0 || buffer.as_ptr().addr().is_multiple_of(64));
            }
            assert!(copy[..] == buffer[..]);
        }
    }
}
