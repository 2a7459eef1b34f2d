//! The looped transformer forward, in f64 and plain loops, and slopes of its loss by central differences.

use crate::model::{Shape, Values};

/// The order of `Shape::parameters`.
const LN_1: usize = 0;
const LN_F: usize = 2;
const READ_OUT: [usize; 2] = [4, 18];
const LN_2: usize = 5;
const C_ATTN: [usize; 2] = [7, 8];
const ATTN_PROJ: [usize; 2] = [9, 10];
const C_FC: [usize; 2] = [11, 12];
const C_PROJ: [usize; 2] = [13, 14];
const POSITIONS: usize = 15;
const READ_IN: [usize; 2] = [16, 17];

type Parameters = Vec<Vec<f64>>;

/// Moves norms and biases away from 1 and 0, so that a mistake in them shows, and makes weights larger.
pub(crate) fn shake(shape: Shape, values: &mut Values) {
    let mut state = 7_u64;
    for ((name, _), parameter) in shape.parameters().into_iter().zip(&mut values.parameters) {
        let matrix = name.contains(".attn.") || name.contains(".mlp.");
        for value in parameter {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let uniform = (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5;
            *value = if matrix { 4.0 * *value } else { *value } + 0.3 * uniform;
        }
    }
}

pub(crate) struct Model {
    shape: Shape,
    pub(crate) parameters: Parameters,
    tokens: Vec<f64>,
    targets: Vec<f64>,
    /// The state that enters the window: gradient doesn't reach what is before it.
    entry: Vec<f64>,
}

fn linear(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let inputs = weight.len() / bias.len();
    let rows = x.chunks_exact(inputs);
    rows.flat_map(|row| {
        let outputs = weight.chunks_exact(inputs).zip(bias);
        outputs.map(|(w, b)| b + row.iter().zip(w).map(|(x, w)| x * w).sum::<f64>()).collect::<Vec<_>>()
    })
    .collect()
}

fn norm(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let width = weight.len();
    let rows = x.chunks_exact(width);
    rows.flat_map(|row| {
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / width as f64;
        let scaled = row.iter().zip(weight).zip(bias);
        scaled.map(|((v, w), b)| (v - mean) / (variance + 1e-5).sqrt() * w + b).collect::<Vec<_>>()
    })
    .collect()
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
}

fn add(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x + y).collect()
}

impl Model {
    pub(crate) fn new(shape: Shape, values: &Values) -> Self {
        let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        let parameters = values.parameters.iter().map(|p| wide(p)).collect();
        let entry = vec![0.0; shape.rows() * shape.width];
        let (tokens, targets) = (wide(&values.tokens), wide(&values.targets));
        let mut model = Self { shape, parameters, tokens, targets, entry };
        let input = model.embed(&model.parameters);
        for _ in 0..shape.loops - shape.window {
            model.entry = model.once(&model.parameters, &input, &model.entry);
        }
        model
    }

    /// The embedded prompts with their positions.
    fn embed(&self, p: &Parameters) -> Vec<f64> {
        let embedded = linear(&self.tokens, &p[READ_IN[0]], &p[READ_IN[1]]);
        let each = self.shape.tokens * self.shape.width;
        embedded.chunks_exact(each).flat_map(|sequence| add(sequence, &p[POSITIONS][..each])).collect()
    }

    fn once(&self, p: &Parameters, input: &[f64], state: &[f64]) -> Vec<f64> {
        let layer = |x: &[f64], [weight, bias]: [usize; 2]| linear(x, &p[weight], &p[bias]);
        let Shape { width, tokens, kept_from, .. } = self.shape;
        let kept = |at: usize| if at / width % tokens < kept_from { 0.0 } else { state[at] };
        let x = add(&(0..state.len()).map(kept).collect::<Vec<_>>(), input);
        let qkv = layer(&norm(&x, &p[LN_1], &p[LN_1 + 1]), C_ATTN);
        let middle = add(&x, &layer(&self.attention(&qkv), ATTN_PROJ));
        let hidden = layer(&norm(&middle, &p[LN_2], &p[LN_2 + 1]), C_FC);
        let active: Vec<f64> = hidden.into_iter().map(gelu).collect();
        norm(&add(&middle, &layer(&active, C_PROJ)), &p[LN_F], &p[LN_F + 1])
    }

    fn attention(&self, qkv: &[f64]) -> Vec<f64> {
        let Shape { width, heads, tokens, .. } = self.shape;
        let head = width / heads;
        let mut out = vec![0.0; qkv.len() / 3];
        for (row, mixed) in out.chunks_exact_mut(width).enumerate() {
            let first = row / tokens * tokens;
            for h in 0..heads {
                let at = |row: usize, part: usize| &qkv[(3 * row + part) * width + h * head..][..head];
                let scores = (first..=row).map(|key| {
                    let dot: f64 = at(row, 0).iter().zip(at(key, 1)).map(|(q, k)| q * k).sum();
                    (dot / (head as f64).sqrt()).exp()
                });
                let scores: Vec<f64> = scores.collect();
                let sum: f64 = scores.iter().sum();
                for (key, score) in (first..=row).zip(&scores) {
                    for (m, v) in mixed[h * head..][..head].iter_mut().zip(at(key, 2)) {
                        *m += score / sum * v;
                    }
                }
            }
        }
        out
    }

    /// The loss, and the window's predictions (window, batch, points).
    pub(crate) fn run(&self, p: &Parameters) -> (f64, Vec<f64>) {
        let input = self.embed(p);
        let (mut state, mut predictions) = (self.entry.clone(), Vec::new());
        for _ in 0..self.shape.window {
            state = self.once(p, &input, &state);
            let all = linear(&state, &p[READ_OUT[0]], &p[READ_OUT[1]]);
            let x_tokens =
                all.iter().enumerate().filter(|(row, _)| (row % self.shape.tokens).is_multiple_of(2));
            predictions.extend(x_tokens.map(|(_, p)| *p));
        }
        let errors = predictions.iter().zip(self.targets.iter().cycle());
        (errors.map(|(p, y)| (p - y).powi(2)).sum::<f64>() / predictions.len() as f64, predictions)
    }

    /// How fast the loss grows as one parameter goes in a direction.
    pub(crate) fn slope(&self, parameter: usize, direction: &[f64]) -> f64 {
        let step = 1e-4;
        let at = |far: f64| {
            let mut moved = self.parameters.clone();
            moved[parameter].iter_mut().zip(direction).for_each(|(value, d)| *value += far * d);
            self.run(&moved).0
        };
        (at(step) - at(-step)) / (2.0 * step)
    }
}
