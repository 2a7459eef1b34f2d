//! What the kernels mean, in f64.

/// A row's norm: its values over their spread, and one over the spread.
struct Norm {
    unit: Vec<f64>,
    inverse: f64,
}

fn norm_of(row: &[f64], rms: bool) -> Norm {
    let width = row.len() as f64;
    let mean = if rms { 0.0 } else { row.iter().sum::<f64>() / width };
    let squares = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width;
    let inverse = 1.0 / (squares + 1e-5).sqrt();
    Norm { unit: row.iter().map(|x| (x - mean) * inverse).collect(), inverse }
}

/// The norm of every row of x, times the weight, plus the bias if there is one: without one it is an RMS norm.
pub(crate) fn norm(x: &[f64], weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let rows = x.chunks_exact(weight.len()).map(|row| norm_of(row, bias.is_none()).unit);
    rows.flat_map(|unit| {
        (0..unit.len()).map(|c| unit[c] * weight[c] + bias.map_or(0.0, |bias| bias[c])).collect::<Vec<_>>()
    })
    .collect()
}

/// The gradients with respect to x, the weight and the bias.
pub(crate) fn norm_backward(dy: &[f64], x: &[f64], weight: &[f64], rms: bool) -> [Vec<f64>; 3] {
    let width = weight.len();
    let mut dx = Vec::with_capacity(x.len());
    let [mut dweight, mut dbias] = [0; 2].map(|_| vec![0.0; width]);
    for (row, dy) in x.chunks_exact(width).zip(dy.chunks_exact(width)) {
        let Norm { unit, inverse } = norm_of(row, rms);
        for c in 0..width {
            dweight[c] += dy[c] * unit[c];
            dbias[c] += dy[c];
        }
        let slope: Vec<f64> = dy.iter().zip(weight).map(|(d, w)| d * w).collect();
        let mean = if rms { 0.0 } else { slope.iter().sum::<f64>() / width as f64 };
        let along = slope.iter().zip(&unit).map(|(s, u)| s * u).sum::<f64>() / width as f64;
        dx.extend((0..width).map(|c| inverse * (slope[c] - mean - unit[c] * along)));
    }
    [dx, dweight, dbias]
}

/// Adam's settings, in the order of the device's.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) learning_rate: f64,
    pub(crate) largest_norm: f64,
    pub(crate) betas: [f64; 2],
    pub(crate) eps: f64,
    pub(crate) weight_decay: f64,
}

/// Parameters and moments.
pub(crate) struct Adam {
    pub(crate) parameters: Vec<f64>,
    pub(crate) moments: [Vec<f64>; 2],
    updates: i32,
}

impl Adam {
    pub(crate) fn new(parameters: &[f64]) -> Self {
        let zeros = vec![0.0; parameters.len()];
        Self { parameters: parameters.to_vec(), moments: [zeros.clone(), zeros], updates: 0 }
    }

    /// Moves the parameters; tells the gradient's norm and what it was scaled by.
    pub(crate) fn update(&mut self, gradient: &[f64], settings: &Settings) -> [f64; 2] {
        let Settings { learning_rate, largest_norm, betas: [b1, b2], eps, weight_decay } = *settings;
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = if largest_norm > 0.0 && norm > largest_norm { largest_norm / norm } else { 1.0 };
        self.updates += 1;
        let [first, second] = &mut self.moments;
        for (i, p) in self.parameters.iter_mut().enumerate() {
            let g = gradient[i] * scale + weight_decay * *p;
            first[i] = b1 * first[i] + (1.0 - b1) * g;
            second[i] = b2 * second[i] + (1.0 - b2) * g * g;
            let (m, v) =
                (first[i] / (1.0 - b1.powi(self.updates)), second[i] / (1.0 - b2.powi(self.updates)));
            *p -= learning_rate * m / (v.sqrt() + eps);
        }
        [norm, scale]
    }
}

/// A diagonal state space: decay, gain and read are (states, width), skip is (width).
pub(crate) struct StateSpace<'a> {
    pub(crate) numbers: [&'a [f64]; 3],
    pub(crate) skip: &'a [f64],
}

/// Of x and dy, both (sequences, tokens, width): y, the gradient with respect to x, and for each sequence the gradients with
/// respect to decay, gain, read and skip (sequences, 3 states + 1, width).
pub(crate) fn scan(space: &StateSpace<'_>, x: &[f64], dy: &[f64], tokens: usize) -> [Vec<f64>; 3] {
    let width = space.skip.len();
    let states = space.numbers[0].len() / width;
    let sequences = x.len() / (tokens * width);
    let lines = 3 * states + 1;
    let skipped =
        |of: &[f64]| of.iter().enumerate().map(|(i, v)| v * space.skip[i % width]).collect::<Vec<_>>();
    let (mut y, mut dx, mut sums) = (skipped(x), skipped(dy), vec![0.0; sequences * lines * width]);
    for (sequence, channel) in (0..sequences).flat_map(|s| (0..width).map(move |c| (s, c))) {
        let at = |t: usize| (sequence * tokens + t) * width + channel;
        let sum = |line: usize| (sequence * lines + line) * width + channel;
        sums[sum(3 * states)] = (0..tokens).map(|t| dy[at(t)] * x[at(t)]).sum();
        for n in 0..states {
            let [decay, gain, read] = space.numbers.map(|of| of[n * width + channel]);
            let mut h = vec![0.0; tokens + 1];
            for t in 0..tokens {
                h[t + 1] = decay * h[t] + gain * x[at(t)];
                y[at(t)] += read * h[t + 1];
            }
            let mut carried = 0.0;
            for t in (0..tokens).rev() {
                let dh = read * dy[at(t)] + carried;
                sums[sum(n)] += dh * h[t];
                sums[sum(states + n)] += dh * x[at(t)];
                sums[sum(2 * states + n)] += dy[at(t)] * h[t + 1];
                dx[at(t)] += gain * dh;
                carried = decay * dh;
            }
        }
    }
    [y, dx, sums]
}
