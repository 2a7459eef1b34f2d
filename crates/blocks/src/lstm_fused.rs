//! The LSTM layer without a graph.
//!
//! Within a chunk the rows are kept time-major, (tokens, sequences, ...): a time step's rows are contiguous.

use looped_core::fused::{
    Backward, Chunk, Forward, FusedBlock, FusedSizes, Kernels, PackedBlock, cut, cut_len,
};
use looped_ops::{PackedMatrix, Start};

#[derive(Clone, Copy)]
pub(crate) struct FusedLstm {
    pub(crate) width: usize,
}

impl FusedLstm {
    fn lens(&self) -> [usize; 4] {
        let gates = 4 * self.width;
        [gates * self.width, gates * self.width, gates, gates]
    }

    /// Gates (tokens, sequences, 4 D); cells and hidden states (tokens + 1, sequences, D), the prefix's last ones first.
    fn trace_lens(&self, chunk: Chunk) -> [usize; 3] {
        let step = chunk.sequences * self.width;
        let state = chunk.tokens * step;
        [4 * state, state + step, state + step]
    }

    /// Inputs, or outputs' derivatives, time-major; the cells' derivative.
    fn scratch_lens(&self, chunk: Chunk) -> [usize; 3] {
        let state = chunk.rows() * self.width;
        [state, state, chunk.sequences * self.width]
    }
}

impl FusedSizes for FusedLstm {
    fn tape_len(&self, chunk: Chunk) -> usize {
        cut_len(&self.trace_lens(chunk))
    }

    /// The last hidden states and cells, each (sequences, D).
    fn memory_len(&self, prefix: Chunk) -> usize {
        2 * prefix.sequences * self.width
    }

    fn scratch_len(&self, chunk: Chunk) -> usize {
        cut_len(&self.scratch_lens(chunk)) + cut_len(&self.trace_lens(chunk))
    }
}

impl FusedBlock for FusedLstm {
    fn parameters(&self) -> Vec<(String, usize)> {
        let names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
        names.iter().zip(self.lens()).map(|(name, len)| ((*name).to_owned(), len)).collect()
    }

    /// Fewer rows in the products of a token don't keep the machine busy, and more are no faster.
    fn least_sequences(&self) -> usize {
        4
    }

    fn pack(&self, weights: &[&[f32]], kernels: Kernels) -> Box<dyn PackedBlock> {
        let (width, gates) = (self.width, 4 * self.width);
        let linear = |weight: &[f32]| Linear {
            forward: PackedMatrix::linear_forward(kernels, weight, gates, width),
            backward: PackedMatrix::linear_backward(kernels, weight, gates, width),
        };
        Box::new(Packed {
            kernels,
            form: *self,
            from_input: linear(weights[0]),
            recurrent: linear(weights[1]),
            bias: weights[2].iter().zip(weights[3]).map(|(a, b)| a + b).collect(),
        })
    }
}

struct Linear {
    forward: PackedMatrix,
    backward: PackedMatrix,
}

struct Packed {
    kernels: Kernels,
    form: FusedLstm,
    from_input: Linear,
    recurrent: Linear,
    /// Both biases.
    bias: Vec<f32>,
}

impl Packed {
    /// Copies (sequences, tokens, width) to (tokens, sequences, width).
    fn to_time_major(&self, chunk: Chunk, from: &[f32], to: &mut [f32]) {
        let Chunk { sequences, tokens, .. } = chunk;
        for (i, row) in from.chunks_exact(self.form.width).enumerate() {
            let (sequence, token) = (i / tokens, i % tokens);
            to[(token * sequences + sequence) * self.form.width..][..self.form.width].copy_from_slice(row);
        }
    }

    /// Copies (tokens, sequences, width) to (sequences, tokens, width).
    fn to_batch_major(&self, chunk: Chunk, from: &[f32], to: &mut [f32]) {
        let Chunk { sequences, tokens, .. } = chunk;
        for (i, row) in to.chunks_exact_mut(self.form.width).enumerate() {
            let (sequence, token) = (i / tokens, i % tokens);
            row.copy_from_slice(&from[(token * sequences + sequence) * self.form.width..][..self.form.width]);
        }
    }
}

impl PackedBlock for Packed {
    fn sizes(&self) -> &dyn FusedSizes {
        &self.form
    }

    fn forward(&self, chunk: Chunk, x: &[f32], out: &mut [f32], pass: Forward<'_>) {
        let Forward { before, memory, tape, scratch, kernel_scratch } = pass;
        let (scratch, unrecorded) = scratch.split_at_mut(cut_len(&self.form.scratch_lens(chunk)));
        let [input, ..] = cut(scratch, self.form.scratch_lens(chunk));
        let trace = if tape.is_empty() { unrecorded } else { tape };
        let [gates, cells, hidden] = cut(trace, self.form.trace_lens(chunk));
        let k = self.kernels;
        let step = chunk.sequences * self.form.width;

        if chunk.prefix == 0 {
            hidden[..step].fill(0.0);
            cells[..step].fill(0.0);
        } else {
            hidden[..step].copy_from_slice(&before[..step]);
            cells[..step].copy_from_slice(&before[step..2 * step]);
        }
        self.to_time_major(chunk, x, input);
        k.matmul(input, &self.from_input.forward, Start::Bias(&self.bias), gates, kernel_scratch);
        for token in 0..chunk.tokens {
            let (at, next) = (token * step, (token + 1) * step);
            let (earlier, later) = hidden.split_at_mut(next);
            let (last_cells, cell) = cells.split_at_mut(next);
            let gates = &mut gates[4 * at..4 * next];
            k.matmul(&earlier[at..], &self.recurrent.forward, Start::Output, gates, kernel_scratch);
            k.lstm_cell(self.form.width, gates, &last_cells[at..], &mut cell[..step], &mut later[..step]);
        }
        self.to_batch_major(chunk, &hidden[step..], out);
        if !memory.is_empty() {
            memory[..step].copy_from_slice(&hidden[hidden.len() - step..]);
            memory[step..2 * step].copy_from_slice(&cells[cells.len() - step..]);
        }
    }

    fn backward(&self, chunk: Chunk, x: &[f32], dy: &mut [f32], pass: Backward<'_>) {
        let Backward { before: _, dbefore, dmemory, tape, grads, scratch, kernel_scratch } = pass;
        let [other, dhidden, dcell] = cut(scratch, self.form.scratch_lens(chunk));
        let [gates, cells, hidden] = cut(tape, self.form.trace_lens(chunk));
        let k = self.kernels;
        let step = chunk.sequences * self.form.width;

        self.to_time_major(chunk, dy, dhidden);
        dcell.fill(0.0);
        if !dmemory.is_empty() {
            let last = dhidden.len() - step;
            k.add(&dmemory[..step], &mut dhidden[last..]);
            k.add(&dmemory[step..2 * step], dcell);
        }
        // Each step's gates become their sums' derivatives, which the step before gets through the hidden states.
        for (token, gates) in gates.chunks_exact_mut(4 * step).enumerate().rev() {
            let (at, next) = (token * step, (token + 1) * step);
            k.lstm_cell_backward(
                self.form.width,
                gates,
                &cells[at..next],
                &cells[next..next + step],
                &dhidden[at..next],
                dcell,
            );
            if token > 0 {
                let earlier = &mut dhidden[at - step..at];
                k.matmul(gates, &self.recurrent.backward, Start::Output, earlier, kernel_scratch);
            } else if chunk.prefix > 0 {
                let (dlast, dlast_cell) = dbefore.split_at_mut(step);
                k.matmul(gates, &self.recurrent.backward, Start::Output, dlast, kernel_scratch);
                k.add(dcell, &mut dlast_cell[..step]);
            }
        }

        let [input_w, recurrent_w, input_b, _] = self.form.lens();
        let (dinput_w, grads) = grads.split_at_mut(input_w);
        let (drecurrent_w, grads) = grads.split_at_mut(recurrent_w);
        let (dinput_b, drecurrent_b) = grads.split_at_mut(input_b);
        self.to_time_major(chunk, x, other);
        k.add_weight_gradient(gates, other, chunk.rows(), dinput_w, kernel_scratch);
        let last = &hidden[..hidden.len() - step];
        k.add_weight_gradient(gates, last, chunk.rows(), drecurrent_w, kernel_scratch);
        // Both biases add to the same sums.
        k.add_column_sums(gates, dinput_b);
        k.add_column_sums(gates, drecurrent_b);
        k.matmul(gates, &self.from_input.backward, Start::Zero, other, kernel_scratch);
        self.to_batch_major(chunk, other, dy);
    }
}
