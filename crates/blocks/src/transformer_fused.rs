//! The transformer block without a graph.

use looped_core::fused::{
    Backward, Chunk, Forward, FusedBlock, FusedSizes, Kernels, Outputs, PackedBlock, cut, cut_len,
};
use looped_ops::{AttentionShape, Start};

use crate::layers_fused::{Linear, Norm, Room, split};
use crate::mlp_fused::{self, Mlp};

#[derive(Clone, Copy)]
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

impl FusedTransformer {
    /// What the forward pass computes on its way, on the tape if there is one: queries, keys and values (rows, 3 D); what
    /// attention keeps of each softmax; and of the rows that are read, its output before the projection (read, D); the
    /// state between attention and network (read, D); the network's hidden values before GELU (read, 4 D).
    fn trace_lens(&self, chunk: Chunk) -> [usize; 5] {
        let (qkv, read) = (3 * chunk.rows() * self.width, chunk.read_rows() * self.width);
        [qkv, chunk.sequences * self.shape(chunk).kept(), read, read, 4 * read]
    }

    /// The layers' room; and where not all rows are read, one for those that are: (read, D).
    fn scratch_lens(&self, chunk: Chunk) -> [usize; 2] {
        let apart = match chunk.outputs {
            Outputs::All => 0,
            Outputs::Predictions => chunk.read_rows() * self.width,
        };
        [Room::len(chunk.rows(), self.width), apart]
    }

    fn shape(&self, chunk: Chunk) -> AttentionShape {
        let (heads, head_size) = (self.n_head, self.width / self.n_head);
        AttentionShape { tokens: chunk.tokens, prefix: chunk.prefix, heads, head_size }
    }
}

impl FusedSizes for FusedTransformer {
    fn tape_len(&self, chunk: Chunk) -> usize {
        cut_len(&self.trace_lens(chunk))
    }

    /// The prefix's queries, keys and values, as attention takes them: (sequences, tokens, 3 D).
    fn memory_len(&self, prefix: Chunk) -> usize {
        3 * prefix.rows() * self.width
    }

    fn scratch_len(&self, chunk: Chunk) -> usize {
        cut_len(&self.scratch_lens(chunk)) + cut_len(&self.trace_lens(chunk))
    }
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
            form: *self,
            ln_1: Norm::new(&weights[..2]),
            c_attn: Linear::new(kernels, &weights[2..4], 3 * width, width),
            attn_proj: Linear::new(kernels, &weights[4..6], width, width),
            mlp: Mlp::new(kernels, width, &weights[6..]),
        })
    }
}

struct Packed {
    kernels: Kernels,
    form: FusedTransformer,
    ln_1: Norm,
    c_attn: Linear,
    attn_proj: Linear,
    mlp: Mlp,
}

impl PackedBlock for Packed {
    fn sizes(&self) -> &dyn FusedSizes {
        &self.form
    }

    fn forward(&self, chunk: Chunk, x: &[f32], out: &mut [f32], pass: Forward<'_>) {
        let Forward { before, memory, tape, scratch, kernel_scratch } = pass;
        let recording = !tape.is_empty();
        let (scratch, unrecorded) = scratch.split_at_mut(cut_len(&self.form.scratch_lens(chunk)));
        let [room, apart] = cut(scratch, self.form.scratch_lens(chunk));
        let mut room = Room::new(room, chunk.rows(), self.form.width);
        let trace = if recording { tape } else { unrecorded };
        let [qkv, softmax, mixed, middle, hidden] = cut(trace, self.form.trace_lens(chunk));
        let (k, d, all_read) = (self.kernels, self.form.width, chunk.outputs == Outputs::All);

        self.ln_1.forward(k, x, room.normed, &mut room.statistics);
        k.matmul(room.normed, &self.c_attn.forward, Start::Bias(&self.c_attn.bias), qkv, kernel_scratch);
        let shape = self.form.shape(chunk);
        let (tokens, prefix) = (chunk.tokens * d, chunk.prefix * d);
        let attended = if all_read { &mut *mixed } else { &mut *room.narrow };
        for i in 0..chunk.sequences {
            k.attention(
                shape,
                &qkv[3 * i * tokens..][..3 * tokens],
                &before[3 * i * prefix..][..3 * prefix],
                &mut attended[i * tokens..][..tokens],
                &mut softmax[i * shape.kept()..][..shape.kept()],
                kernel_scratch,
            );
        }
        if !memory.is_empty() {
            memory.copy_from_slice(qkv);
        }
        // What is read of the input, and of the output.
        let (input, read) = if all_read {
            (x, &mut *out)
        } else {
            chunk.gather(d, room.narrow, mixed);
            chunk.gather(d, x, &mut room.narrow[..middle.len()]);
            (&room.narrow[..middle.len()], &mut *apart)
        };
        let start = Start::BiasResidual(&self.attn_proj.bias, input);
        k.matmul(mixed, &self.attn_proj.forward, start, middle, kernel_scratch);
        let hidden = if recording { hidden } else { &mut [] };
        self.mlp.forward(middle, hidden, read, room, kernel_scratch);
        if !all_read {
            chunk.scatter(d, apart, out);
        }
    }

    fn backward(&self, chunk: Chunk, x: &[f32], dy: &mut [f32], pass: Backward<'_>) {
        let Backward { before, dbefore, dmemory, tape, grads, scratch, kernel_scratch } = pass;
        let [room, apart] = cut(scratch, self.form.scratch_lens(chunk));
        let mut room = Room::new(room, chunk.rows(), self.form.width);
        let [qkv, softmax, mixed, middle, hidden] = cut(tape, self.form.trace_lens(chunk));
        let lens = first_half(self.form.width).map(|(_, len)| len);
        let (grads, dmlp) = grads.split_at_mut(lens.iter().sum());
        let [dln_w, dln_b, dqkv_w, dqkv_b, dproj_w, dproj_b] = split(grads, lens);
        let (k, d, all_read) = (self.kernels, self.form.width, chunk.outputs == Outputs::All);

        // Afterwards `read` is the derivative by the state in the middle.
        let read = if all_read {
            &mut *dy
        } else {
            chunk.gather(d, dy, apart);
            &mut *apart
        };
        let mut room_of_read = room.first(chunk.read_rows(), d);
        self.mlp.backward(middle, hidden, read, dmlp, &mut room_of_read, kernel_scratch);

        // Attention: afterwards `dy` is the derivative by the input.
        let Room { mut statistics, normed, wide, narrow } = room;
        self.attn_proj.add_gradients(k, read, mixed, [dproj_w, dproj_b], kernel_scratch);
        k.matmul(read, &self.attn_proj.backward, Start::Zero, &mut narrow[..mixed.len()], kernel_scratch);
        if !all_read {
            chunk.scatter(d, apart, dy);
            apart.copy_from_slice(&narrow[..mixed.len()]);
            chunk.scatter(d, apart, narrow);
        }
        let dqkv = &mut wide[..qkv.len()];
        let shape = self.form.shape(chunk);
        let (tokens, prefix) = (chunk.tokens * d, chunk.prefix * d);
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
