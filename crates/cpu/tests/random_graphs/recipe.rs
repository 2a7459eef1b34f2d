//! Random models: a list of small numbers that stands for a graph, so that a failing one is made small by itself.

use std::fmt;

use candle_core::{D, Result, Tensor};
use looped_core::{LoopPlan, ModelDims, Objective, Prompts, Rng};
use looped_graph::ops::{Beyond, CpuKernel, CudaText, Custom};
use looped_graph::{At, Graph, Heads, Init, Linear, Norm, Param, Params, Reach, Shape, Trace, Value};
use proptest::prelude::*;

/// One operation: which, on which of the values so far, with what number.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) kind: u8,
    pub(crate) a: u8,
    pub(crate) b: u8,
    pub(crate) n: u8,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, a, b, n } = self;
        write!(f, "Line {{ kind: {kind}, a: {a}, b: {b}, n: {n} }}")
    }
}

/// A random model, and what is asked of it.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) n_dims: usize,
    pub(crate) width: usize,
    /// What the state is before the first loop.
    pub(crate) first: u8,
    /// How state and input meet.
    pub(crate) inject: u8,
    pub(crate) keep: usize,
    pub(crate) lines: Vec<Line>,
    /// What the state becomes.
    pub(crate) next: u8,
    /// What is predicted.
    pub(crate) read: u8,
    pub(crate) prompts: usize,
    pub(crate) points: usize,
    pub(crate) plan: LoopPlan,
    pub(crate) loss_loops: usize,
    pub(crate) objective: Objective,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
}

/// Positions that a table has: more than any prompt has tokens.
const POSITIONS: usize = 14;

fn line() -> impl Strategy<Value = Line> {
    (0..52_u8, any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(kind, a, b, n)| Line { kind, a, b, n })
}

pub(crate) fn recipes() -> impl Strategy<Value = Recipe> {
    let model = (
        1..4_usize,
        prop_oneof![Just(6_usize), Just(10), Just(7), Just(5), Just(12), Just(18)],
        0..6_u8,
        0..9_u8,
        0..14_usize,
        prop::collection::vec(line(), 0..9),
        0..8_u8,
        0..8_u8,
    );
    let asked = (
        1..8_usize,
        1..7_usize,
        (1..5_usize, 1..6_usize),
        1..6_usize,
        prop_oneof![Just(Objective::SquaredError), Just(Objective::CrossEntropy)],
        1..4_usize,
        any::<u64>(),
    );
    (model, asked).prop_map(|(model, asked)| {
        let (n_dims, width, first, inject, keep, lines, next, read) = model;
        let (prompts, points, (loops, window), loss_loops, objective, threads, seed) = asked;
        Recipe {
            n_dims,
            width,
            first,
            inject,
            keep,
            lines,
            next,
            read,
            prompts,
            points,
            plan: LoopPlan { loops, window },
            loss_loops,
            objective,
            threads,
            seed,
        }
    })
}

/// x sin(x) and cos(x), of rows of their own: an operation of an author's own with two results.
#[derive(Debug)]
struct Waves;

impl Custom for Waves {
    fn name(&self) -> String {
        "waves".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        Ok(vec![inputs[0], inputs[0]])
    }

    fn meaning(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![(&inputs[0] * inputs[0].sin()?)?, inputs[0].cos()?])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }
}

/// x y + sin(x), with forms on slices and for a GPU: y may be one row for all.
#[derive(Debug)]
struct Sum;

impl Custom for Sum {
    fn name(&self) -> String {
        "sum".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        Ok(vec![inputs[0], inputs[0]])
    }

    fn meaning(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let product = inputs[0].broadcast_mul(&inputs[1])?;
        Ok(vec![(product + inputs[0].sin()?)?, inputs[0].affine(0.5, 0.0)?])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn cpu(&self) -> Option<&dyn CpuKernel> {
        Some(self)
    }

    fn cuda(&self) -> Option<CudaText> {
        Some(CudaText {
            forward: "
    for (int i = thread; i < width_in_0; i += threads) {
      out_0[i] = in_0[i] * in_1[i] + sinf(in_0[i]);
      out_1[i] = 0.5f * in_0[i];
    }",
            backward: "
    for (int i = thread; i < width_in_0; i += threads) {
      din_0[i] += dout_0[i] * (in_1[i] + cosf(in_0[i])) + 0.5f * dout_1[i];
      din_1[i] += dout_0[i] * in_0[i];
    }",
        })
    }
}

impl CpuKernel for Sum {
    fn forward(&self, inputs: &[&[f32]], results: &mut [&mut [f32]]) {
        let [x, y] = inputs else { panic!("two inputs") };
        for (i, x) in x.iter().enumerate() {
            results[0][i] = x * y[i % y.len()] + x.sin();
            results[1][i] = 0.5 * x;
        }
    }

    fn backward(&self, inputs: &[&[f32]], dresults: &[&[f32]], dinputs: &mut [&mut [f32]]) {
        let [x, y] = inputs else { panic!("two inputs") };
        for (i, x) in x.iter().enumerate() {
            let at = i % y.len();
            dinputs[0][i] += dresults[0][i] * (y[at] + x.cos()) + 0.5 * dresults[1][i];
            dinputs[1][at] += dresults[0][i] * x;
        }
    }
}

/// Parameters with names of their own.
struct Names<'t> {
    params: Params<'t>,
    next: usize,
}

impl<'t> Names<'t> {
    fn scope(&mut self) -> Params<'t> {
        self.next += 1;
        self.params.scope(format!("p{}", self.next))
    }

    fn linear(&mut self, inputs: usize, out: usize) -> Linear {
        Linear::uniform(inputs, out, &mut self.scope())
    }

    fn row<'v>(&mut self, trace: &'v Trace, width: usize) -> Value<'v> {
        trace.param(self.scope().get("row", [width], Init::Ones))
    }

    fn table(&mut self, n: usize, width: usize) -> Param {
        self.scope().get("table", [1 + n % 4, width], Init::Ones)
    }

    fn fit<'v>(&mut self, x: Value<'v>, width: usize, n: usize) -> Value<'v> {
        if x.width() == width {
            x
        } else if x.width() > width && n.is_multiple_of(2) {
            let start = n % (x.width() - width + 1);
            x.columns(start..start + width)
        } else {
            x.linear(&self.linear(x.width(), width))
        }
    }
}

impl Recipe {
    pub(crate) fn dims(&self) -> ModelDims {
        ModelDims { n_dims: self.n_dims, n_positions: POSITIONS / 2, n_embd: self.width, n_layer: 1 }
    }

    pub(crate) fn data(&self) -> Prompts {
        let Self { prompts, points, .. } = *self;
        let mut rng = Rng::stream(self.seed, "prompts", 0);
        let xs = rng.normals(prompts * points * self.n_dims);
        let ys = rng.normals(prompts * points);
        Prompts::pairs(xs, ys, [prompts, points, self.n_dims])
    }

    /// The model.
    pub(crate) fn graph(&self) -> Graph {
        self.record(false)
    }

    /// The model, whose values can all be looked at.
    pub(crate) fn probed_graph(&self) -> Graph {
        self.record(true)
    }

    fn record(&self, probed: bool) -> Graph {
        let trace = Trace::new();
        let d = self.width;
        {
            let mut names = Names { params: trace.params(), next: 0 };
            let tokens = trace.input(self.n_dims);
            let input = tokens.linear(&names.linear(self.n_dims, d));
            let at = At::new(input);
            let first = match self.first {
                0 => input.like(0.0),
                1 => input.like(1.5),
                2 => input,
                3 => input.like(0.0) + names.row(&trace, d),
                4 => input.linear(&names.linear(d, 3 * d)).attention(Heads::causal(1)),
                _ => input.norm(&Norm::layer(d, &mut names.scope())).gelu(),
            };
            let state = trace.carry(first);
            let z = state.value();
            let x = match self.inject {
                0 => z + input,
                1 => z * input,
                2 => z,
                3 => z.keep_last(self.keep, 0.0) + input,
                4 => z.keep_last(self.keep, 1.0) * input,
                5 => z.keep_first(self.keep, 0.0) + input,
                6 => Value::concat(&[z, input]).linear(&names.linear(2 * d, d)),
                7 => z.keep_last(self.keep, -0.5).sigmoid() * input,
                _ => z + input.keep_last(self.keep, 0.0),
            };
            let mut values = vec![x, input];
            for line in &self.lines {
                if line.a < 12 && !values.iter().any(|known| known.wire() == z.wire()) {
                    values.push(z);
                }
                let pick = |i: u8| values[values.len() - 1 - (i as usize % values.len())];
                let value = trace
                    .scope("body", || self.line(*line, &trace, at, &mut names, pick(line.a), pick(line.b)));
                values.push(if probed { value.probe(&format!("v{}", values.len())) } else { value });
            }
            let last = values[values.len() - 1];
            let next = match self.next {
                0 => names.fit(last, d, 1).tanh(),
                1 => names.fit(last, d, 0).norm(&Norm::layer(d, &mut names.scope())),
                2 => names.fit(last, d, 1) * 0.5 + x * 0.5,
                3 => names.fit(last, d, 1),
                4 => x,
                5 => z,
                6 => names.fit(last, d, 0).norm(&Norm::rms(d, &mut names.scope())),
                _ => names.fit(last.tanh(), d, 0),
            };
            trace.next(state, next);
            let read = match self.read {
                0 | 1 => next.norm(&Norm::layer(d, &mut names.scope())),
                2 => next.norm(&Norm::rms(d, &mut names.scope())),
                3 => next.gelu().linear(&names.linear(d, d)),
                4 => next + input,
                5 => next * names.row(&trace, d),
                6 => next.linear(&names.linear(d, 3 * d)).attention(Heads::causal(1)),
                _ => next,
            };
            trace.read(read.linear(&names.linear(d, 1)));
        }
        trace.finish().unwrap()
    }

    #[allow(clippy::too_many_lines, reason = "a table")]
    fn line<'t>(
        &self,
        line: Line,
        trace: &'t Trace,
        at: At<'t>,
        names: &mut Names<'t>,
        x: Value<'t>,
        y: Value<'t>,
    ) -> Value<'t> {
        let (w, n) = (x.width(), line.n as usize);
        let wide = [4, 6, 9, 12, 17][n % 5];
        match line.kind {
            0 | 1 => x.linear(&names.linear(w, wide)),
            2 => x.linear(&Linear::without_bias(w, wide, 0.3, &mut names.scope())),
            3 => x.norm(&Norm::layer(w, &mut names.scope())),
            4 => x.norm(&Norm::rms(w, &mut names.scope())),
            5 => {
                let groups = if w.is_multiple_of(2) { 2 } else { 1 };
                x.norm(&Norm::rms_of_groups(w, groups, &mut names.scope()))
            }
            6 => x.gelu(),
            7 => x.silu(),
            8 => x.tanh(),
            9 => x.sigmoid(),
            10 => x.relu(),
            11 | 12 => x + names.fit(y, w, n),
            13 => x - names.fit(y, w, n),
            14 => x * names.fit(y, w, n).tanh(),
            15 => x / (names.fit(y, w, n).square() + 1.0),
            16 => x + names.row(trace, w),
            17 => x * names.row(trace, w),
            18 => names.row(trace, w) - x,
            19 => x * at.by_loop(names.scope().get("table", [1 + n % 4, w], Init::Ones)),
            20 => x + at.by_loop(names.scope().get("table", [1 + n % 4, w], Init::Zeros)),
            46 => x * at.by_loop_or(names.table(n, w), [Beyond::Wrap, Beyond::Interpolate][n % 2]),
            47 => x + (at.by_loop(names.table(n, w)) * names.row(trace, w)).sigmoid(),
            48 => {
                let row = at.by_loop_or(names.table(n, w + 3), Beyond::Interpolate);
                names.row(trace, w) - x * row.columns(1..w + 1).tanh()
            }
            49 => {
                let row = at.by_loop_or(names.table(n, w), Beyond::Wrap);
                let [a, _] = Value::custom(Sum, &[x, row.square() + row]);
                a
            }
            50 => {
                let row = names.scope().get("matrix", [1 + n % 3, wide * w], Init::Normal { std: 0.2 });
                x.product(at.by_loop_or(row, [Beyond::Clamp, Beyond::Interpolate][n % 2]), wide)
            }
            51 => {
                let row = names.scope().get("matrix", [w * (1 + n % 3)], Init::Normal { std: 0.3 });
                x.product(trace.param(row).tanh(), 1 + n % 3) + 0.5
            }
            21 => {
                let start = n % w;
                x.columns(start..start + 1 + (n / 7) % (w - start))
            }
            22 if w.is_multiple_of(2) => {
                let [a, b] = x.split();
                Value::concat(&[b, y, a])
            }
            22 | 23 => Value::concat(&[x, y]),
            24 | 25 => {
                let heads = 1 + n % 2;
                x.linear(&names.linear(w, 3 * 4 * heads)).attention(Heads::causal(heads))
            }
            45 => x.linear(&names.linear(w, 12)).attention(Heads::all([1, 2, 4][n % 3])),
            26 if w.is_multiple_of(3) => x.attention(Heads::causal(1)),
            26 | 27 => x.linear(&names.linear(w, 12)).attention(Heads::all(1 + n % 2)),
            28 => {
                let states = 1 + n % 3;
                let mut of = names.scope();
                let mut row =
                    |name: &str, len: usize, bound| trace.param(of.get(name, [len], Init::Uniform { bound }));
                let system = [
                    row("decay", states * w, 0.7),
                    row("gain", states * w, 1.0),
                    row("read", states * w, 1.0),
                ];
                let [decay, gain, read] = system;
                x.scan(decay, gain, read, row("skip", w, 1.0))
            }
            29 => {
                let (gates, own) = (names.linear(w, 8), names.linear(4, 8));
                let [h, _] = x.recur([4, 4], |x, [h, c]| {
                    let both = x.linear(&gates) + h.linear(&own);
                    let [a, b] = both.split();
                    let c = c * a.sigmoid() + b.tanh() * 0.5;
                    [c.tanh(), c]
                });
                h
            }
            30 => {
                let layer = names.linear(w, w);
                let [h] = x.recur([w], |x, [h]| [(x + h.linear(&layer)).tanh()]);
                h
            }
            31 | 44 => x.shift(n % 4),
            32 if w.is_multiple_of(2) => x.rotary(1, 1, 1),
            32 | 33 => x.linear(&names.linear(w, 12)).rotary(2, 2, 3).attention(Heads::causal(2)),
            34 => x.keep_last(n % POSITIONS, 0.25),
            35 => x.keep_first(n % POSITIONS, 0.0),
            36 => x.positions(names.scope().get("table", [POSITIONS, w], Init::Normal { std: 0.3 })),
            37 => x.stop_gradient() + names.fit(y, w, n),
            38 => {
                let (row, other) = (names.row(trace, w), names.fit(y, w, n));
                x.candle("mixed", &[row, other, x], |all| {
                    let mixed = all[0].tanh()?.broadcast_mul(&all[1])?;
                    (mixed + all[2].tanh()?)? * all[3].cos()?
                })
            }
            39 => x.candle("mean of tokens", &[], |all| {
                all[0]
                    .broadcast_sub(&all[0].mean_keepdim(1)?)?
                    .broadcast_add(&all[0].mean_keepdim(D::Minus1)?)
            }),
            40 => {
                let y = if n % 3 == 0 { names.row(trace, w) } else { names.fit(y, w, n) };
                let [a, b] = if n % 4 < 2 { Value::custom(Waves, &[x]) } else { Value::custom(Sum, &[x, y]) };
                if n.is_multiple_of(2) { a + b } else { b }
            }
            41 => {
                let layer = names.linear(w, w);
                (x + x.linear(&layer).gelu().linear(&layer)) * 0.5
            }
            42 => {
                let (up, down) = (names.linear(w, wide), names.linear(wide, w));
                x + x.norm(&Norm::layer(w, &mut names.scope())).linear(&up).gelu().linear(&down)
            }
            _ => match n % 5 {
                0 => x + x,
                1 => (x * 0.3).tanh().exp(),
                2 => (x.square() + 0.5).log(),
                3 => (x.square() + 0.5).sqrt() * x,
                _ => x.like(0.5) - x,
            },
        }
    }
}
