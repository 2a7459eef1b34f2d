//! Launches of attention.

use super::Calls;
use crate::source::{Source, constant};
use crate::{Element, Error, Operation, Result, Span, Storage};

/// What attention's sums are done by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Floats throughout.
    Plain,
    /// The tensor cores: bf16, or floats cut to tf32.
    Tensor,
}

impl Cores {
    const fn kernel(self, plain: &'static str, tensor: &'static str) -> &'static str {
        match self {
            Self::Plain => plain,
            Self::Tensor => tensor,
        }
    }

    /// What a head's width is a multiple of.
    const fn kernel_step(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Tensor => 16,
        }
    }

    /// Bytes loaded, and stored, at once.
    const fn alignments(self, source: Source) -> [usize; 2] {
        let one = source.storage.element().bytes();
        match self {
            Self::Plain if source.head.is_multiple_of(4) => [4 * one, one],
            Self::Plain => [one, one],
            Self::Tensor => [16, 2 * one],
        }
    }
}

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Tokens of a sequence, each a query and a key.
    pub tokens: usize,
    /// Earlier tokens, keys alone.
    pub prefix: usize,
    /// Whether a query sees its own token and those before it alone.
    pub causal: bool,
}

impl Seen {
    /// Causal attention without earlier tokens.
    #[must_use]
    pub const fn causal(tokens: usize) -> Self {
        Self { tokens, prefix: 0, causal: true }
    }
}

impl Cores {
    /// Whether it can do attention of this kind, to heads of this width.
    #[must_use]
    pub const fn can(self, seen: Seen, head: usize) -> bool {
        let plain = head > 0 && head.is_multiple_of(self.kernel_step());
        match self {
            Self::Plain => plain,
            Self::Tensor => plain && seen.causal && seen.prefix == 0,
        }
    }
}

impl Calls {
    /// The bytes of shared memory that a block of attention's needs.
    #[must_use]
    pub fn attention_bytes(&self, by: Cores, seen: Seen) -> usize {
        let Seen { tokens, prefix, .. } = seen;
        let (head, rows) = (self.source.head, tokens.next_multiple_of(16));
        match (by, self.source.storage) {
            (Cores::Plain, _) => {
                let (warps, group) = (constant("ATTENTION_WARPS") as usize, constant("GROUP") as usize);
                4 * ((3 * tokens + 2 * prefix) * (head.next_multiple_of(4) + 4)
                    + warps * (prefix + tokens) * group)
            }
            (Cores::Tensor, Storage::F32) => 4 * 3 * rows * (head + 4),
            (Cores::Tensor, Storage::Bf16) => 2 * (2 * rows * (head + 8) + head * (rows + 8)),
        }
    }

    /// The same of its backward pass.
    #[must_use]
    pub fn attention_backward_bytes(&self, by: Cores, seen: Seen) -> usize {
        let Seen { tokens, prefix, .. } = seen;
        let (head, rows) = (self.source.head, tokens.next_multiple_of(16));
        match (by, self.source.storage) {
            (Cores::Plain, _) => {
                let (warps, group) = (constant("ATTENTION_WARPS") as usize, constant("GROUP") as usize);
                let each = warps * (prefix + tokens) * 2 * group;
                4 * ((4 * tokens + 2 * prefix) * (head.next_multiple_of(4) + 4) + each + 2 * tokens)
            }
            (Cores::Tensor, Storage::F32) => 4 * 4 * rows * (head + 4) + 8 * rows,
            (Cores::Tensor, Storage::Bf16) => 2 * (4 * rows * (head + 8) + 3 * head * (rows + 8)) + 8 * rows,
        }
    }
}

struct Heads {
    heads: usize,
    sequences: usize,
    scale: f32,
}

impl Calls {
    /// Attention over qkv (sequences, tokens, 3 width) and `earlier` (sequences, prefix, 3 width), into `out` (sequences, tokens,
    /// width); `log_sums` (sequences, heads, tokens) is for the backward pass. By the tensor cores, floats are cut to tf32.
    ///
    /// # Errors
    /// If a place doesn't fit, or these cores can't do it: see [`Cores::can`].
    pub fn attention(
        &self,
        by: Cores,
        seen: Seen,
        [qkv, out]: [Span; 2],
        earlier: Option<Span>,
        log_sums: Span,
    ) -> Result<Operation> {
        let kernel = by.kernel("attention", "attention_mma");
        let Heads { heads, sequences, scale } = self.heads(kernel, by, seen, out)?;
        let all = sequences * seen.tokens * self.source.width;
        let [load, store] = by.alignments(self.source);
        let mut call = self.call(kernel).read_stored(qkv, 3 * all, load);
        if by == Cores::Plain {
            call = call.read_stored(earlier.unwrap_or(qkv), self.earlier_len(sequences, seen), load);
        }
        let call = call.write_stored(Some(out), all, store);
        let mut call =
            call.other(log_sums, sequences * heads * seen.tokens, Element::F32, true).int(seen.tokens);
        if by == Cores::Plain {
            call = call.int(seen.prefix).int(usize::from(seen.causal));
        }
        let shared = self.attention_bytes(by, seen);
        call.int(heads).float(scale).launch_plane([sequences * heads, 1], shared)
    }

    /// The gradient with respect to qkv, from `dout` with respect to the output, which may lie where qkv does; that with respect
    /// to `earlier` is added to. The tensor cores need `out` too.
    ///
    /// # Errors
    /// As [`Calls::attention`].
    #[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
    pub fn attention_backward(
        &self,
        by: Cores,
        seen: Seen,
        [qkv, dout]: [Span; 2],
        out: Option<Span>,
        earlier: [Option<Span>; 2],
        log_sums: Span,
        dqkv: Span,
    ) -> Result<Operation> {
        let kernel = by.kernel("attention_backward", "attention_mma_backward");
        let Heads { heads, sequences, scale } = self.heads(kernel, by, seen, dout)?;
        let all = sequences * seen.tokens * self.source.width;
        let [load, store] = by.alignments(self.source);
        let before = self.earlier_len(sequences, seen);
        let mut call = self.call(kernel).read_stored(qkv, 3 * all, load);
        if by == Cores::Plain {
            call = call.read_stored(earlier[0].unwrap_or(qkv), before, load);
        } else {
            // One that isn't there holds too little, and is refused.
            call = call.read_stored(out.unwrap_or(dout.part(0, 0)), all, load);
        }
        let call = call.read_stored(dout, all, load);
        let call = call.other(log_sums, sequences * heads * seen.tokens, Element::F32, false);
        let mut call = call.write_stored(Some(dqkv), 3 * all, store);
        if by == Cores::Plain {
            call = call.write_stored(Some(earlier[1].unwrap_or(dqkv)), before, store);
        }
        call = call.int(seen.tokens);
        if by == Cores::Plain {
            call = call.int(seen.prefix).int(usize::from(seen.causal));
        }
        let shared = self.attention_backward_bytes(by, seen);
        call.int(heads).float(scale).launch_plane([sequences * heads, 1], shared)
    }

    fn earlier_len(&self, sequences: usize, seen: Seen) -> usize {
        3 * sequences * seen.prefix * self.source.width
    }

    fn heads(&self, kernel: &'static str, by: Cores, seen: Seen, out: Span) -> Result<Heads> {
        let Source { width, head, .. } = self.source;
        let tokens = seen.tokens;
        let problem = if !by.can(seen, head) || !width.is_multiple_of(head) {
            format!("heads of {head} in rows of {width}, {seen:?}")
        } else if tokens == 0 || !out.len().is_multiple_of(tokens * width) {
            format!("{} values aren't sequences of {tokens} tokens", out.len())
        } else {
            let (heads, sequences) = (width / head, out.len() / (tokens * width));
            return Ok(Heads { heads, sequences, scale: 1.0 / (head as f32).sqrt() });
        };
        Err(Error::Operation { operation: kernel.to_owned(), problem })
    }
}
