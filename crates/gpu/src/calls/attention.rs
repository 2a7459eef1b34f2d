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
            Self::Plain => 4,
            Self::Tensor => 16,
        }
    }

    /// Bytes loaded, and stored, at once.
    const fn alignments(self, storage: Storage) -> [usize; 2] {
        let one = storage.element().bytes();
        match self {
            Self::Plain => [4 * one, one],
            Self::Tensor => [16, 2 * one],
        }
    }
}

impl Calls {
    /// The bytes of shared memory that a block of attention's needs.
    #[must_use]
    pub fn attention_bytes(&self, by: Cores, tokens: usize) -> usize {
        let (head, rows) = (self.source.head, tokens.next_multiple_of(16));
        match (by, self.source.storage) {
            (Cores::Plain, _) => {
                let (warps, group) = (constant("ATTENTION_WARPS") as usize, constant("GROUP") as usize);
                4 * (3 * tokens * (head + 4) + warps * tokens * group)
            }
            (Cores::Tensor, Storage::F32) => 4 * 3 * rows * (head + 4),
            (Cores::Tensor, Storage::Bf16) => 2 * (2 * rows * (head + 8) + head * (rows + 8)),
        }
    }

    /// The same of its backward pass.
    #[must_use]
    pub fn attention_backward_bytes(&self, by: Cores, tokens: usize) -> usize {
        let (head, rows) = (self.source.head, tokens.next_multiple_of(16));
        match (by, self.source.storage) {
            (Cores::Plain, _) => {
                let (warps, group) = (constant("ATTENTION_WARPS") as usize, constant("GROUP") as usize);
                4 * (4 * tokens * (head + 4) + warps * tokens * 2 * group + 2 * tokens)
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
    /// Causal attention over qkv (sequences, tokens, 3 width), into `out` (sequences, tokens, width); `log_sums`
    /// (sequences, heads, tokens) is for the backward pass. By the tensor cores, floats are cut to tf32.
    ///
    /// # Errors
    /// If a place doesn't fit, or the head's width isn't a multiple of 4, or of 16 for the tensor cores.
    pub fn attention(
        &self,
        by: Cores,
        qkv: Span,
        out: Span,
        log_sums: Span,
        tokens: usize,
    ) -> Result<Operation> {
        let kernel = by.kernel("attention", "attention_mma");
        let Heads { heads, sequences, scale } = self.heads(kernel, by, out, tokens)?;
        let all = sequences * tokens * self.source.width;
        let [load, store] = by.alignments(self.source.storage);
        let call = self.call(kernel).read_stored(qkv, 3 * all, load).write_stored(Some(out), all, store);
        let call = call.other(log_sums, sequences * heads * tokens, Element::F32, true);
        let call = call.int(tokens).int(heads).float(scale);
        let shared = self.attention_bytes(by, tokens);
        call.launch_plane([sequences * heads, 1], shared)
    }

    /// The gradient with respect to qkv, from `dout` with respect to the output; `dqkv` may be `qkv`.
    ///
    /// # Errors
    /// If a place doesn't fit, or the head's width isn't a multiple of 4.
    pub fn attention_backward(
        &self,
        by: Cores,
        [qkv, out, dout]: [Span; 3],
        log_sums: Span,
        dqkv: Span,
        tokens: usize,
    ) -> Result<Operation> {
        let kernel = by.kernel("attention_backward", "attention_mma_backward");
        let Heads { heads, sequences, scale } = self.heads(kernel, by, out, tokens)?;
        let all = sequences * tokens * self.source.width;
        let [load, store] = by.alignments(self.source.storage);
        let call = self.call(kernel).read_stored(qkv, 3 * all, load).read_stored(out, all, load);
        let call = call.read_stored(dout, all, load);
        let call = call.other(log_sums, sequences * heads * tokens, Element::F32, false);
        let call = call.write_stored(Some(dqkv), 3 * all, store).int(tokens).int(heads).float(scale);
        let shared = self.attention_backward_bytes(by, tokens);
        call.launch_plane([sequences * heads, 1], shared)
    }

    fn heads(&self, kernel: &'static str, by: Cores, out: Span, tokens: usize) -> Result<Heads> {
        let Source { width, head, .. } = self.source;
        let problem = if head == 0 || !head.is_multiple_of(by.kernel_step()) || !width.is_multiple_of(head) {
            format!("heads of {head} in rows of {width}")
        } else if tokens == 0 || !out.len().is_multiple_of(tokens * width) {
            format!("{} values aren't sequences of {tokens} tokens", out.len())
        } else {
            let (heads, sequences) = (width / head, out.len() / (tokens * width));
            return Ok(Heads { heads, sequences, scale: 1.0 / (head as f32).sqrt() });
        };
        Err(Error::Operation { operation: kernel.to_owned(), problem })
    }
}
