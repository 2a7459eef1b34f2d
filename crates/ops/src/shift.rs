//! Rows of one sequence, some tokens later.

use crate::isa::Kernels;

impl Kernels {
    /// Each row is the one `by` floats before it: in `x`, in the rows `before` it, or 0 where there is none.
    ///
    /// # Shapes
    /// `x` and `out` (tokens, width); `before` (some tokens, width); `by` is a number of tokens times the width.
    pub fn shift(self, by: usize, x: &[f32], before: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), out.len(), "shift: out isn't as x");
        let (seen, own) = out.split_at_mut(by.min(x.len()));
        own.copy_from_slice(&x[..own.len()]);
        let zeros = by.saturating_sub(before.len()).min(seen.len());
        let (none, earlier) = seen.split_at_mut(zeros);
        none.fill(0.0);
        let first = before.len().saturating_sub(by);
        earlier.copy_from_slice(&before[first..][..earlier.len()]);
    }

    /// The gradient of [`Kernels::shift`]: `dx` is overwritten, or added to if `add`; `dbefore` is added to.
    ///
    /// # Shapes
    /// `dout` and `dx` (tokens, width); `dbefore` as `before`.
    pub fn shift_backward(self, by: usize, dout: &[f32], dx: &mut [f32], add: bool, dbefore: &mut [f32]) {
        assert_eq!(dout.len(), dx.len(), "shift_backward: dx isn't as dout");
        let (of_earlier, of_own) = dout.split_at(by.min(dout.len()));
        let (read, unread) = dx.split_at_mut(of_own.len());
        if add {
            self.add(of_own, read);
        } else {
            read.copy_from_slice(of_own);
            unread.fill(0.0);
        }
        let zeros = by.saturating_sub(dbefore.len()).min(of_earlier.len());
        let of_earlier = &of_earlier[zeros..];
        let first = dbefore.len().saturating_sub(by);
        self.add(of_earlier, &mut dbefore[first..][..of_earlier.len()]);
    }
}
