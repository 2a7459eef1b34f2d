//! The state-space block without a graph.

use looped_core::fused::{
    Backward, Chunk, Forward, FusedBlock, FusedSizes, Kernels, PackedBlock, cut, cut_len,
};
use looped_ops::{Diagonal, DiagonalGradients, Start};

use crate::layers_fused::{Linear, Norm, Room, split};
use crate::mlp_fused::{self, Mlp};

/// The step of a channel whose `log_dt` is 0: the middle, of logarithms, of where steps start.
pub(crate) const MIDDLE_STEP: f64 = 0.01;

#[derive(Clone, Copy)]
pub(crate) struct FusedSsm {
    pub(crate) width: usize,
    pub(crate) states: usize,
}

/// Name and number of elements of each parameter of the first half; `all` is the number of states of all channels.
fn first_half(width: usize, all: usize) -> [(&'static str, usize); 9] {
    [
        ("ln_1.weight", width),
        ("ln_1.bias", width),
        ("ssm.log_dt", width),
        ("ssm.log_a", all),
        ("ssm.b", all),
        ("ssm.c", all),
        ("ssm.d", width),
        ("ssm.c_proj.weight", width * width),
        ("ssm.c_proj.bias", width),
    ]
}

impl FusedSsm {
    /// How many states all channels have together.
    fn all(&self) -> usize {
        self.states * self.width
    }

    /// The recurrence's output (rows, D); the state between recurrence and network (rows, D); the network's hidden values
    /// before GELU (rows, 4 D). The recurrence itself is run again by the backward pass.
    fn trace_lens(&self, chunk: Chunk) -> [usize; 3] {
        let state = chunk.rows() * self.width;
        [state, state, 4 * state]
    }

    /// One sequence's states, (tokens + 1, states, D); the derivatives by its last states, by decay and by gain.
    fn scan_lens(&self, chunk: Chunk) -> [usize; 4] {
        let all = self.all();
        [(chunk.tokens + 1) * all, all, all, all]
    }

    fn room_len(&self, chunk: Chunk) -> usize {
        Room::len(chunk.rows(), self.width)
    }
}

impl FusedSizes for FusedSsm {
    fn tape_len(&self, chunk: Chunk) -> usize {
        cut_len(&self.trace_lens(chunk))
    }

    /// The last states, (sequences, states, D).
    fn memory_len(&self, prefix: Chunk) -> usize {
        prefix.sequences * self.all()
    }

    fn scratch_len(&self, chunk: Chunk) -> usize {
        self.room_len(chunk) + cut_len(&self.scan_lens(chunk)) + cut_len(&self.trace_lens(chunk))
    }
}

impl FusedBlock for FusedSsm {
    fn parameters(&self) -> Vec<(String, usize)> {
        let own = first_half(self.width, self.states * self.width).into_iter();
        own.chain(mlp_fused::parameters(self.width)).map(|(name, len)| (name.to_owned(), len)).collect()
    }

    fn pack(&self, weights: &[&[f32]], kernels: Kernels) -> Box<dyn PackedBlock> {
        let width = self.width;
        Box::new(Packed {
            kernels,
            form: *self,
            ln_1: Norm::new(&weights[..2]),
            space: Space::new(weights[2], weights[3], weights[4], weights[5], weights[6]),
            proj: Linear::new(kernels, &weights[7..9], width, width),
            mlp: Mlp::new(kernels, width, &weights[9..]),
        })
    }
}

/// The state space made discrete: each of these is (states, D), but for `skip`, (D).
struct Space {
    rate: Vec<f32>,
    /// What a state loses in a token, as a power of e: step times rate.
    lost: Vec<f32>,
    /// e^-lost
    decay: Vec<f32>,
    /// What a state takes in of an input if b is 1: (1 - decay) / rate.
    taken: Vec<f32>,
    b: Vec<f32>,
    /// taken * b
    gain: Vec<f32>,
    read: Vec<f32>,
    skip: Vec<f32>,
}

impl Space {
    fn new(log_dt: &[f32], log_a: &[f32], b: &[f32], read: &[f32], skip: &[f32]) -> Self {
        let width = log_dt.len();
        // By libm, whose results don't depend on the system's C library.
        let rate = |i: usize| (i / width + 1) as f64 * libm::exp(f64::from(log_a[i]));
        let lost = |i: usize| MIDDLE_STEP * libm::exp(f64::from(log_dt[i % width])) * rate(i);
        let taken = |i: usize| -libm::expm1(-lost(i)) / rate(i);
        let each = |value: &dyn Fn(usize) -> f64| (0..log_a.len()).map(|i| value(i) as f32).collect();
        Self {
            rate: each(&rate),
            lost: each(&lost),
            decay: each(&|i| libm::exp(-lost(i))),
            taken: each(&taken),
            b: b.to_vec(),
            gain: each(&|i| taken(i) * f64::from(b[i])),
            read: read.to_vec(),
            skip: skip.to_vec(),
        }
    }

    fn system(&self) -> Diagonal<'_> {
        Diagonal { decay: &self.decay, gain: &self.gain, read: &self.read, skip: &self.skip }
    }

    /// Carries the derivatives by decay and gain on to `log_dt`, `log_a` and `b`.
    fn add_gradients(&self, ddecay: &[f32], dgain: &[f32], [dlog_dt, dlog_a, db]: [&mut [f32]; 3]) {
        let width = dlog_dt.len();
        for (i, (&ddecay, &dgain)) in ddecay.iter().zip(dgain).enumerate() {
            db[i] += dgain * self.taken[i];
            // By the logarithm of `lost`, the rate being held; of it `log_dt` and `log_a` are both a part.
            let dlog_lost = (dgain * self.b[i] / self.rate[i] - ddecay) * self.decay[i] * self.lost[i];
            dlog_dt[i % width] += dlog_lost;
            dlog_a[i] += dlog_lost - dgain * self.gain[i];
        }
    }
}

struct Packed {
    kernels: Kernels,
    form: FusedSsm,
    ln_1: Norm,
    space: Space,
    proj: Linear,
    mlp: Mlp,
}

impl Packed {
    /// Runs the recurrence over the sequence numbered `i`.
    fn scan(&self, i: usize, chunk: Chunk, before: &[f32], x: &[f32], states: &mut [f32], y: &mut [f32]) {
        let first = &mut states[..self.form.all()];
        if chunk.prefix == 0 {
            first.fill(0.0);
        } else {
            first.copy_from_slice(part(before, i, self.form.all()));
        }
        self.kernels.scan(self.space.system(), x, states, y);
    }
}

/// The part of sequence `i` of a buffer in which each has `len` floats.
fn part(buffer: &[f32], i: usize, len: usize) -> &[f32] {
    &buffer[i * len..][..len]
}

fn part_mut(buffer: &mut [f32], i: usize, len: usize) -> &mut [f32] {
    &mut buffer[i * len..][..len]
}

impl PackedBlock for Packed {
    fn sizes(&self) -> &dyn FusedSizes {
        &self.form
    }

    fn forward(&self, chunk: Chunk, x: &[f32], out: &mut [f32], pass: Forward<'_>) {
        let Forward { before, memory, tape, scratch, kernel_scratch } = pass;
        let recording = !tape.is_empty();
        let (room, scratch) = scratch.split_at_mut(self.form.room_len(chunk));
        let mut room = Room::new(room, chunk.rows(), self.form.width);
        let (scan, unrecorded) = scratch.split_at_mut(cut_len(&self.form.scan_lens(chunk)));
        let [states, ..] = cut(scan, self.form.scan_lens(chunk));
        let trace = if recording { tape } else { unrecorded };
        let [mixed, middle, hidden] = cut(trace, self.form.trace_lens(chunk));
        let k = self.kernels;

        self.ln_1.forward(k, x, room.normed, &mut room.statistics);
        let (all, len) = (self.form.all(), chunk.tokens * self.form.width);
        for i in 0..chunk.sequences {
            self.scan(i, chunk, before, part(room.normed, i, len), states, part_mut(mixed, i, len));
            if !memory.is_empty() {
                part_mut(memory, i, all).copy_from_slice(&states[chunk.tokens * all..]);
            }
        }
        k.matmul(mixed, &self.proj.forward, Start::BiasResidual(&self.proj.bias, x), middle, kernel_scratch);
        let hidden = if recording { hidden } else { &mut [] };
        self.mlp.forward(middle, hidden, out, room, kernel_scratch);
    }

    fn backward(&self, chunk: Chunk, x: &[f32], dy: &mut [f32], pass: Backward<'_>) {
        let Backward { before, dbefore, dmemory, tape, grads, scratch, kernel_scratch } = pass;
        let (room, scratch) = scratch.split_at_mut(self.form.room_len(chunk));
        let mut room = Room::new(room, chunk.rows(), self.form.width);
        let [states, dstate, ddecay, dgain] = cut(scratch, self.form.scan_lens(chunk));
        let [mixed, middle, hidden] = cut(tape, self.form.trace_lens(chunk));
        let (all, len) = (self.form.all(), chunk.tokens * self.form.width);
        let lens = first_half(self.form.width, all).map(|(_, len)| len);
        let (grads, dmlp) = grads.split_at_mut(lens.iter().sum());
        let [dln_w, dln_b, dlog_dt, dlog_a, db, dread, dskip, dproj_w, dproj_b] = split(grads, lens);
        let k = self.kernels;

        // Afterwards `dy` is the derivative by the state in the middle.
        self.mlp.backward(middle, hidden, dy, dmlp, &mut room, kernel_scratch);

        // The recurrence: afterwards `dy` is the derivative by the input.
        let Room { mut statistics, normed, wide, narrow } = room;
        self.proj.add_gradients(k, dy, mixed, [dproj_w, dproj_b], kernel_scratch);
        k.matmul(dy, &self.proj.backward, Start::Zero, narrow, kernel_scratch);
        self.ln_1.forward(k, x, normed, &mut statistics);
        ddecay.fill(0.0);
        dgain.fill(0.0);
        for i in 0..chunk.sequences {
            let input = part(normed, i, len);
            self.scan(i, chunk, before, input, states, &mut wide[..len]);
            if dmemory.is_empty() {
                dstate.fill(0.0);
            } else {
                dstate.copy_from_slice(part(dmemory, i, all));
            }
            let grads = DiagonalGradients { decay: ddecay, gain: dgain, read: dread, skip: dskip };
            let dy = part_mut(narrow, i, len);
            k.scan_backward(self.space.system(), input, states, dy, dstate, grads);
            if chunk.prefix > 0 {
                k.add(dstate, part_mut(dbefore, i, all));
            }
        }
        self.space.add_gradients(ddecay, dgain, [dlog_dt, dlog_a, db]);
        self.ln_1.backward(k, narrow, x, &statistics, dy, [dln_w, dln_b]);
    }
}
