//! What the GPU does, one thing after the other.

use crate::calls::{Argument, Launch};
use crate::{Product, Span};

/// One thing that the GPU does.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Runs a kernel.
    Launch(Launch),
    /// Multiplies two matrices.
    Product(Product),
    /// Sets every byte of a place to 0.
    Clear(Span),
}

impl Operation {
    /// What profiles call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Launch(launch) => launch.kernel().to_owned(),
            Self::Product(product) => product.name(),
            Self::Clear(_) => "clear".to_owned(),
        }
    }

    /// The places that it only reads, and those that it writes, which it may read too.
    #[must_use]
    pub fn touches(&self) -> [Vec<Span>; 2] {
        match self {
            Self::Launch(launch) => {
                let read = |argument: &Argument| match argument {
                    Argument::Read(span) => *span,
                    _ => None,
                };
                let written = |argument: &Argument| match argument {
                    Argument::Write(span) => *span,
                    _ => None,
                };
                let arguments = &launch.arguments;
                [arguments.iter().filter_map(read).collect(), arguments.iter().filter_map(written).collect()]
            }
            Self::Product(Product { left, right, bias, start, out, .. }) => {
                [[Some(*left), Some(*right), *bias, *start].into_iter().flatten().collect(), vec![*out]]
            }
            Self::Clear(span) => [Vec::new(), vec![*span]],
        }
    }

    /// The bytes of the places that it touches, each counted once: it reads or writes no more of memory than that.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let mut places: Vec<Span> = self.touches().concat();
        places.sort_by_key(|span| (span.offset, span.bytes()));
        places.dedup();
        places.into_iter().map(Span::bytes).sum()
    }

    /// The floating-point operations of a product; of all else none are counted.
    #[must_use]
    pub fn flops(&self) -> f64 {
        match self {
            Self::Product(Product { rows, outputs, inputs, .. }) => {
                2.0 * *rows as f64 * *outputs as f64 * *inputs as f64
            }
            _ => 0.0,
        }
    }

    /// Whether this and another come to the same in either order: neither writes where the other reads or writes.
    #[must_use]
    pub fn commutes_with(&self, other: &Self) -> bool {
        let ([reads, writes], [other_reads, other_writes]) = (self.touches(), other.touches());
        let apart = |a: &[Span], b: &[Span]| a.iter().all(|a| b.iter().all(|b| !a.overlaps(*b)));
        apart(&writes, &other_reads) && apart(&writes, &other_writes) && apart(&reads, &other_writes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::calls::Calls;
    use crate::{Form, Layout, Math, Source, Storage};

    #[test]
    fn operations_commute_that_write_nothing_that_the_other_touches() {
        let calls = Calls { source: Source { width: 4, head: 16, storage: Storage::F32 } };
        let mut layout = Layout::default();
        let [a, b, c] = [0; 3].map(|_| layout.floats(16));
        let copy = |from: Span, to: Span| calls.copy_rows(from, to).unwrap();
        assert!(copy(a, b).commutes_with(&copy(a, c)), "both read one place");
        assert!(!copy(a, b).commutes_with(&copy(b, c)), "the second reads what the first writes");
        assert!(!copy(b, c).commutes_with(&copy(a, b)), "the first reads what the second writes");
        assert!(!copy(a, c).commutes_with(&copy(b, c)), "both write one place");
        assert!(!copy(a, b.part(0, 8)).commutes_with(&Operation::Clear(b)), "a part of it");
        let product = Operation::Product(Product {
            form: Form::Forward,
            math: Math::F32,
            rows: 4,
            outputs: 4,
            inputs: 4,
            left: a,
            right: b,
            bias: None,
            start: None,
            out: c,
        });
        assert!(product.commutes_with(&copy(a, layout.floats(16))));
        assert_eq!((product.bytes(), product.flops()), (3 * 64, 128.0));
        assert_eq!((copy(a, a).bytes(), copy(a, b).bytes()), (64, 128));
        assert!(!product.commutes_with(&Operation::Clear(b)));
        assert!(!product.commutes_with(&copy(c, layout.floats(16))));
    }
}
