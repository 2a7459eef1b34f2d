//! The transformer block without a graph.

use looped_core::fused::{Backward, Chunk, Forward, FusedBlock, Kernels, PackedBlock, cut, cut_len};
use looped_ops::{AttentionShape, Start};

use crate::layers_fused::{Linear, Norm, Room, split};
use crate::mlp_fused::{self, Mlp};

pub(crate) struct FusedTransformer {
    pub(crate) width: usize,
    pub(crate) n_head: usize,
}

/// Name and number of elements of each parameter of the first half.
fn first_half(width: usize) -> [(&'static str, usize); 6] {
    let square = width * width;
    [
        ("ln_1.weight", width),
        ("ln_1.bias", width),
        ("attn.c_attn.weight", 3 * square),
        ("attn.c_attn.bias", 3 * width),
        ("attn.c_proj.weight", square),
        ("attn.c_proj.bias", width),
    ]
}

impl FusedBlock for FusedTransformer {
    fn parameters(&self) -> Vec<(String, usize)> {
        let all = first_half(self.width).into_iter().chain(mlp_fused::parameters(self.width));
        all.map(|(name, len)| (name.to_owned(), len)).collect()
    }

    fn pack(&self, weights: &[&[f32]], kernels: Kernels) -> Box<dyn PackedBlock> {
        let width = self.width;
        Box::new(Packed {
            kernels,
            width,
            heads: self.n_head,
            ln_1: Norm::new(&weights[..2]),
            c_attn: Linear::new(kernels, &weights[2..4], 3 * width, width),
            attn_proj: Linear::new(kernels, &weights[4..6], width, width),
            mlp: Mlp::new(kernels, width, &weights[6..]),
        })
    }
}

struct Packed {
    kernels: Kernels,
    width: usize,
    heads: usize,
    ln_1: Norm,
    c_attn: Linear,
    attn_proj: Linear,
    mlp: Mlp,
}

impl Packed {
    /// What the forward pass computes on its way, on the tape if there is one: queries, keys and values (rows, 3 D); what
    /// attention keeps of each softmax; its output before the projection (rows, D); the state between attention and
    /// network (rows, D); the network's hidden values before GELU (rows, 4 D).
    fn trace_lens(&self, chunk: Chunk) -> [usize; 5] {
        let state = chunk.rows() * self.width;
        [3 * state, chunk.sequences * self.shape(chunk).kept(), state, state, 4 * state]
    }

    fn room_len(&self, chunk: Chunk) -> usize {
        Room::len(chunk.rows(), self.width)
    }

    fn shape(&self, chunk: Chunk) -> AttentionShape {
        let (heads, head_size) = (self.heads, self.width / self.heads);
        AttentionShape { tokens: chunk.tokens, prefix: chunk.prefix, heads, head_size }
    }
}

impl PackedBlock for Packed {
    fn tape_len(&self, chunk: Chunk) -> usize {
        cut_len(&self.trace_lens(chunk))
    }

    /// The prefix's queries, keys and values, as attention takes them: (sequences, tokens, 3 D).
    fn memory_len(&self, prefix: Chunk) -> usize {
        3 * prefix.rows() * self.width
    }

    fn scratch_len(&self, chunk: Chunk) -> usize {
        self.room_len(chunk) + cut_len(&self.trace_lens(chunk))
    }

    fn forward(&self, chunk: Chunk, x: &[f32], out: &mut [f32], pass: Forward<'_>) {
        let Forward { before, memory, tape, scratch, kernel_scratch } = pass;
        let recording = !tape.is_empty();
        let (room, unrecorded) = scratch.split_at_mut(self.room_len(chunk));
        let mut room = Room::new(room, chunk.rows(), self.width);
        let trace = if recording { tape } else { unrecorded };
        let [qkv, softmax, mixed, middle, hidden] = cut(trace, self.trace_lens(chunk));
        let k = self.kernels;

        self.ln_1.forward(k, x, room.normed, &mut room.statistics);
        k.matmul(room.normed, &self.c_attn.forward, Start::Bias(&self.c_attn.bias), qkv, kernel_scratch);
        let shape = self.shape(chunk);
        let (tokens, prefix) = (chunk.tokens * self.width, chunk.prefix * self.width);
        for i in 0..chunk.sequences {
            k.attention(
                shape,
                &qkv[3 * i * tokens..][..3 * tokens],
                &before[3 * i * prefix..][..3 * prefix],
                &mut mixed[i * tokens..][..tokens],
                &mut softmax[i * shape.kept()..][..shape.kept()],
                kernel_scratch,
            );
        }
        if !memory.is_empty() {
            memory.copy_from_slice(qkv);
        }
        let start = Start::BiasResidual(&self.attn_proj.bias, x);
        k.matmul(mixed, &self.attn_proj.forward, start, middle, kernel_scratch);
        let hidden = if recording { hidden } else { &mut [] };
        self.mlp.forward(middle, hidden, out, room, kernel_scratch);
    }

    fn backward(&self, chunk: Chunk, x: &[f32], dy: &mut [f32], pass: Backward<'_>) {
        let Backward { before, dbefore, dmemory, tape, grads, scratch, kernel_scratch } = pass;
        let mut room = Room::new(scratch, chunk.rows(), self.width);
        let [qkv, softmax, mixed, middle, hidden] = cut(tape, self.trace_lens(chunk));
        let lens = first_half(self.width).map(|(_, len)| len);
        let (grads, dmlp) = grads.split_at_mut(lens.iter().sum());
        let [dln_w, dln_b, dqkv_w, dqkv_b, dproj_w, dproj_b] = split(grads, lens);
        let k = self.kernels;

        // Afterwards `dy` is the derivative by the state in the middle.
        self.mlp.backward(middle, hidden, dy, dmlp, &mut room, kernel_scratch);

        // Attention: afterwards `dy` is the derivative by the input.
        let Room { mut statistics, normed, wide, narrow } = room;
        self.attn_proj.add_gradients(k, dy, mixed, [dproj_w, dproj_b], kernel_scratch);
        k.matmul(dy, &self.attn_proj.backward, Start::Zero, narrow, kernel_scratch);
        let dqkv = &mut wide[..qkv.len()];
        let shape = self.shape(chunk);
        let (tokens, prefix) = (chunk.tokens * self.width, chunk.prefix * self.width);
        for i in 0..chunk.sequences {
            k.attention_backward(
                shape,
                &qkv[3 * i * tokens..][..3 * tokens],
                &before[3 * i * prefix..][..3 * prefix],
                &softmax[i * shape.kept()..][..shape.kept()],
                &narrow[i * tokens..][..tokens],
                &mut dqkv[3 * i * tokens..][..3 * tokens],
                &mut dbefore[3 * i * prefix..][..3 * prefix],
                kernel_scratch,
            );
        }
        if !dmemory.is_empty() {
            k.add(dmemory, dqkv);
        }
        self.ln_1.forward(k, x, normed, &mut statistics);
        self.c_attn.add_gradients(k, dqkv, normed, [dqkv_w, dqkv_b], kernel_scratch);
        k.matmul(dqkv, &self.c_attn.backward, Start::Zero, narrow, kernel_scratch);
        self.ln_1.backward(k, narrow, x, &statistics, dy, [dln_w, dln_b]);
    }
}
