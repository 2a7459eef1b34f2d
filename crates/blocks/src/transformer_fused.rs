//! The transformer block without a graph.

use looped_core::fused::{
    Backward, Chunk, Forward, FusedBlock, Kernels, Outputs, PackedBlock, Scratch, cut, cut_len,
};
use looped_ops::{AttentionShape, PackedMatrix, Start};

pub(crate) struct FusedTransformer {
    pub(crate) width: usize,
    pub(crate) n_head: usize,
}

/// Rows that pass through the network together, so that their hidden values stay in the cache.
const ROWS: usize = 96;

/// Name and number of elements, in units of D^2 and of D.
const PARAMETERS: [(&str, usize, usize); 12] = [
    ("ln_1.weight", 0, 1),
    ("ln_1.bias", 0, 1),
    ("attn.c_attn.weight", 3, 0),
    ("attn.c_attn.bias", 0, 3),
    ("attn.c_proj.weight", 1, 0),
    ("attn.c_proj.bias", 0, 1),
    ("ln_2.weight", 0, 1),
    ("ln_2.bias", 0, 1),
    ("mlp.c_fc.weight", 4, 0),
    ("mlp.c_fc.bias", 0, 4),
    ("mlp.c_proj.weight", 4, 0),
    ("mlp.c_proj.bias", 0, 1),
];

impl FusedTransformer {
    fn lens(&self) -> [usize; 12] {
        PARAMETERS.map(|(_, squares, rows)| (squares * self.width + rows) * self.width)
    }
}

impl FusedBlock for FusedTransformer {
    fn parameters(&self) -> Vec<(String, usize)> {
        PARAMETERS.iter().zip(self.lens()).map(|((name, ..), len)| ((*name).to_owned(), len)).collect()
    }

    fn pack(&self, weights: &[&[f32]], kernels: Kernels) -> Box<dyn PackedBlock> {
        let d = self.width;
        let norm = |i: usize| Norm { weight: weights[i].to_vec(), bias: weights[i + 1].to_vec() };
        let linear = |i: usize, out: usize, inputs: usize| Linear {
            forward: PackedMatrix::linear_forward(kernels, weights[i], out, inputs),
            backward: PackedMatrix::linear_backward(kernels, weights[i], out, inputs),
            bias: weights[i + 1].to_vec(),
        };
        Box::new(Packed {
            kernels,
            width: d,
            heads: self.n_head,
            lens: self.lens(),
            ln_1: norm(0),
            c_attn: linear(2, 3 * d, d),
            attn_proj: linear(4, d, d),
            ln_2: norm(6),
            c_fc: linear(8, 4 * d, d),
            mlp_proj: linear(10, d, 4 * d),
        })
    }
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

struct Linear {
    forward: PackedMatrix,
    backward: PackedMatrix,
    bias: Vec<f32>,
}

struct Packed {
    kernels: Kernels,
    width: usize,
    heads: usize,
    lens: [usize; 12],
    ln_1: Norm,
    c_attn: Linear,
    attn_proj: Linear,
    ln_2: Norm,
    c_fc: Linear,
    mlp_proj: Linear,
}

impl Packed {
    /// What the forward pass computes on its way, on the tape if there is one: queries, keys and values (rows, 3 D); what
    /// attention keeps of each softmax; and of the rows that are read, its output before the projection (read, D); the
    /// state between attention and network (read, D); the network's hidden values before GELU (read, 4 D).
    fn trace_lens(&self, chunk: Chunk) -> [usize; 5] {
        let (qkv, read) = (3 * chunk.rows() * self.width, chunk.read_rows() * self.width);
        [qkv, chunk.sequences * self.shape(chunk).kept(), read, read, 4 * read]
    }

    /// Norm statistics, (rows) each, and room for normed values (rows, D), hidden ones (rows, 4 D), others (rows, D), and
    /// for the rows that are read, apart from the others, if there are any: (read, D).
    fn scratch_lens(&self, chunk: Chunk) -> [usize; 6] {
        let (rows, state) = (chunk.rows(), chunk.rows() * self.width);
        let apart = match chunk.outputs {
            Outputs::All => 0,
            Outputs::Predictions => chunk.read_rows() * self.width,
        };
        [rows, rows, state, 4 * state, state, apart]
    }

    fn shape(&self, chunk: Chunk) -> AttentionShape {
        let (heads, head_size) = (self.heads, self.width / self.heads);
        AttentionShape { tokens: chunk.tokens, prefix: chunk.prefix, heads, head_size }
    }

    fn normed(&self, norm: &Norm, x: &[f32], out: &mut [f32], mean: &mut [f32], inverse_std: &mut [f32]) {
        self.kernels.layer_norm(x, &norm.weight, &norm.bias, out, mean, inverse_std);
    }

    /// Attention of every sequence: `mixed`, (rows, D), and `softmax`.
    fn attend(
        &self,
        chunk: Chunk,
        qkv: &[f32],
        before: &[f32],
        mixed: &mut [f32],
        softmax: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let shape = self.shape(chunk);
        let (tokens, prefix) = (chunk.tokens * self.width, chunk.prefix * self.width);
        for i in 0..chunk.sequences {
            self.kernels.attention(
                shape,
                &qkv[3 * i * tokens..][..3 * tokens],
                &before[3 * i * prefix..][..3 * prefix],
                &mut mixed[i * tokens..][..tokens],
                &mut softmax[i * shape.kept()..][..shape.kept()],
                scratch,
            );
        }
    }

    /// From `dmixed`, `dqkv`; `dbefore` is added to.
    #[allow(clippy::too_many_arguments)]
    fn attend_backward(
        &self,
        chunk: Chunk,
        qkv: &[f32],
        before: &[f32],
        softmax: &[f32],
        dmixed: &[f32],
        dqkv: &mut [f32],
        dbefore: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let shape = self.shape(chunk);
        let (tokens, prefix) = (chunk.tokens * self.width, chunk.prefix * self.width);
        for i in 0..chunk.sequences {
            self.kernels.attention_backward(
                shape,
                &qkv[3 * i * tokens..][..3 * tokens],
                &before[3 * i * prefix..][..3 * prefix],
                &softmax[i * shape.kept()..][..shape.kept()],
                &dmixed[i * tokens..][..tokens],
                &mut dqkv[3 * i * tokens..][..3 * tokens],
                &mut dbefore[3 * i * prefix..][..3 * prefix],
                scratch,
            );
        }
    }

    /// The gradients of a linear layer's weight and bias.
    fn linear_gradients(
        &self,
        dy: &[f32],
        x: &[f32],
        [dweight, dbias]: [&mut [f32]; 2],
        scratch: &mut Scratch,
    ) {
        self.kernels.add_weight_gradient(dy, x, dy.len() / dbias.len(), dweight, scratch);
        self.kernels.add_column_sums(dy, dbias);
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
        cut_len(&self.scratch_lens(chunk)) + cut_len(&self.trace_lens(chunk))
    }

    fn forward(&self, chunk: Chunk, x: &[f32], out: &mut [f32], pass: Forward<'_>) {
        let Forward { before, memory, tape, scratch, kernel_scratch } = pass;
        let recording = !tape.is_empty();
        let (scratch, unrecorded) = scratch.split_at_mut(cut_len(&self.scratch_lens(chunk)));
        let [mean, inverse_std, normed, active, narrow, apart] = cut(scratch, self.scratch_lens(chunk));
        let trace = if recording { tape } else { unrecorded };
        let [qkv, softmax, mixed, middle, hidden] = cut(trace, self.trace_lens(chunk));
        let (k, d) = (self.kernels, self.width);

        self.normed(&self.ln_1, x, normed, mean, inverse_std);
        k.matmul(normed, &self.c_attn.forward, Start::Bias(&self.c_attn.bias), qkv, kernel_scratch);
        if !memory.is_empty() {
            memory.copy_from_slice(qkv);
        }
        // What is read of the input, and of the output.
        let (input, read): (&[f32], &mut [f32]) = match chunk.outputs {
            Outputs::All => {
                self.attend(chunk, qkv, before, mixed, softmax, kernel_scratch);
                (x, &mut *out)
            }
            Outputs::Predictions => {
                self.attend(chunk, qkv, before, narrow, softmax, kernel_scratch);
                chunk.gather(d, narrow, mixed);
                chunk.gather(d, x, &mut narrow[..apart.len()]);
                (narrow, &mut *apart)
            }
        };
        let start = Start::BiasResidual(&self.attn_proj.bias, &input[..middle.len()]);
        k.matmul(mixed, &self.attn_proj.forward, start, middle, kernel_scratch);

        for first in (0..chunk.read_rows()).step_by(ROWS) {
            let rows = first..chunk.read_rows().min(first + ROWS);
            let own = d * rows.start..d * rows.end;
            let (middle, normed) = (&middle[own.clone()], &mut normed[own.clone()]);
            let active = &mut active[..4 * own.len()];
            self.normed(&self.ln_2, middle, normed, &mut mean[rows.clone()], &mut inverse_std[rows]);
            let (weight, bias) = (&self.c_fc.forward, &self.c_fc.bias);
            if recording {
                let hidden = &mut hidden[4 * own.start..4 * own.end];
                k.matmul_gelu(normed, weight, bias, hidden, active, kernel_scratch);
            } else {
                k.matmul_gelu_only(normed, weight, bias, active, kernel_scratch);
            }
            let start = Start::BiasResidual(&self.mlp_proj.bias, middle);
            k.matmul(active, &self.mlp_proj.forward, start, &mut read[own], kernel_scratch);
        }
        if chunk.outputs == Outputs::Predictions {
            chunk.scatter(d, apart, out);
        }
    }

    fn backward(&self, chunk: Chunk, x: &[f32], dy: &mut [f32], pass: Backward<'_>) {
        let Backward { before, dbefore, dmemory, tape, grads, scratch, kernel_scratch } = pass;
        let [mean, inverse_std, normed, wide, narrow, apart] = cut(scratch, self.scratch_lens(chunk));
        let [qkv, softmax, mixed, middle, hidden] = cut(tape, self.trace_lens(chunk));
        let mut rest = grads;
        let [dln_1w, dln_1b, dqkv_w, dqkv_b, dproj_w, dproj_b, dln_2w, dln_2b, dfc_w, dfc_b, dout_w, dout_b] =
            self.lens.map(|len| {
                let (own, later) = std::mem::take(&mut rest).split_at_mut(len);
                rest = later;
                own
            });
        let (k, d) = (self.kernels, self.width);

        // The network: afterwards `read` is the derivative by the state in the middle.
        let read: &mut [f32] = match chunk.outputs {
            Outputs::All => &mut *dy,
            Outputs::Predictions => {
                chunk.gather(d, dy, apart);
                &mut *apart
            }
        };
        let dhidden = &mut wide[..hidden.len()];
        let dmiddle = &mut narrow[..middle.len()];
        k.matmul_gelu_backward(read, &self.mlp_proj.backward, hidden, dhidden, kernel_scratch);
        self.linear_gradients(read, hidden, [dout_w, dout_b], kernel_scratch);
        let (mean_2, inverse_std_2) = (&mut mean[..chunk.read_rows()], &mut inverse_std[..chunk.read_rows()]);
        let normed_2 = &mut normed[..middle.len()];
        self.normed(&self.ln_2, middle, normed_2, mean_2, inverse_std_2);
        self.linear_gradients(dhidden, normed_2, [dfc_w, dfc_b], kernel_scratch);
        k.matmul(dhidden, &self.c_fc.backward, Start::Zero, dmiddle, kernel_scratch);
        let weight = &self.ln_2.weight;
        k.layer_norm_backward(dmiddle, middle, mean_2, inverse_std_2, weight, read, true, dln_2w, dln_2b);

        // Attention: afterwards `dy` is the derivative by the input.
        self.linear_gradients(read, mixed, [dproj_w, dproj_b], kernel_scratch);
        let dmixed = dmiddle;
        k.matmul(read, &self.attn_proj.backward, Start::Zero, dmixed, kernel_scratch);
        if chunk.outputs == Outputs::Predictions {
            chunk.scatter(d, apart, dy);
            apart.copy_from_slice(dmixed);
            chunk.scatter(d, apart, narrow);
        }
        let dqkv = &mut wide[..qkv.len()];
        self.attend_backward(chunk, qkv, before, softmax, narrow, dqkv, dbefore, kernel_scratch);
        if !dmemory.is_empty() {
            k.add(dmemory, dqkv);
        }
        self.normed(&self.ln_1, x, normed, mean, inverse_std);
        self.linear_gradients(dqkv, normed, [dqkv_w, dqkv_b], kernel_scratch);
        k.matmul(dqkv, &self.c_attn.backward, Start::Zero, narrow, kernel_scratch);
        let weight = &self.ln_1.weight;
        k.layer_norm_backward(narrow, x, mean, inverse_std, weight, dy, true, dln_1w, dln_1b);
    }
}
