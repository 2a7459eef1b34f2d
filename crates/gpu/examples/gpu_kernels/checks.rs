//! Runs kernels on a device and compares what they write with f64.

use std::fmt;

use looped_gpu::calls::{Adam, Calls, DECISION, NormBackward, StateSpace, States};
use looped_gpu::{
    Arena, Device, Element, Form, Layout, Math, Operation, Options, Product, Program, Result, Source, Span,
    Storage,
};

use crate::reference;

/// How large the checks are.
#[derive(Clone, Copy)]
pub(crate) struct Shapes {
    /// Rows of a norm.
    rows: &'static [usize],
    /// Parameters, and blocks that sum their gradients' squares.
    parameters: &'static [(usize, usize)],
    /// Sequences, tokens and states of a scan.
    scans: &'static [(usize, usize, usize)],
    /// Rows of products with few.
    few: &'static [usize],
}

impl Shapes {
    /// For a GPU.
    #[allow(dead_code, reason = "the test of the same checks takes SMALL")]
    pub(crate) const LARGE: Self = Self {
        rows: &[1, 9, 1037, 5184],
        parameters: &[(77, 1), (1000, 3), (850_001, 264)],
        scans: &[(1, 1, 1), (3, 9, 11), (5, 41, 16), (64, 81, 8)],
        few: &[1, 19, 64, 128],
    };
    /// For a GPU that a CPU plays.
    #[allow(dead_code, reason = "the program takes LARGE")]
    pub(crate) const SMALL: Self = Self {
        rows: &[1, 19],
        parameters: &[(77, 1), (1000, 3)],
        scans: &[(1, 1, 1), (3, 9, 11)],
        few: &[19],
    };
}

/// How far a result is from f64: the largest difference, in units of the largest value. NaN counts as infinitely far.
pub(crate) struct Found {
    name: String,
    error: f64,
    allowed: f64,
}

impl Found {
    pub(crate) fn good(&self) -> bool {
        self.error <= self.allowed
    }
}

impl fmt::Display for Found {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.good() { "ok    " } else { "FAILED" };
        write!(to, "{word} {:<60} error {:.1e}, allowed {:.0e}", self.name, self.error, self.allowed)
    }
}

/// Numbers that look normal: the sum of 12 uniform ones.
struct Dice(u64);

impl Dice {
    fn normal(&mut self) -> f32 {
        let mut uniform = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1_u64 << 24) as f32
        };
        (0..12).map(|_| uniform()).sum::<f32>() - 6.0
    }
}

/// The places of one check, what they are given before it, and what was found.
struct Check<'a> {
    bench: &'a mut Bench,
    layout: Layout,
    given: Vec<(Span, Vec<f32>)>,
}

impl Check<'_> {
    /// A place of random values, and those values as it holds them.
    fn drawn(&mut self, element: Element, len: usize, scale: f32, middle: f32) -> (Span, Vec<f64>) {
        let values: Vec<f32> = (0..len).map(|_| middle + scale * self.bench.dice.normal()).collect();
        let span = self.given(element, values.clone());
        let held = |x: f32| f64::from(if element == Element::Bf16 { near_bf16(x) } else { x });
        (span, values.into_iter().map(held).collect())
    }

    fn given(&mut self, element: Element, values: Vec<f32>) -> Span {
        let span = self.layout.place(element, values.len());
        self.given.push((span, values));
        span
    }

    /// A place that nothing has written to.
    fn empty(&mut self, element: Element, len: usize) -> Span {
        self.layout.place(element, len)
    }

    /// The memory, with what the places are given.
    fn arena(&self) -> Result<Arena> {
        let arena = Arena::new(&self.bench.device, self.layout.bytes())?;
        for (span, values) in &self.given {
            arena.write_stored(*span, values)?;
        }
        Ok(arena)
    }

    fn run(&self, arena: &Arena, operations: &[Operation]) -> Result<()> {
        Program::new(arena, operations, Options::default())?.run_slowly()
    }

    fn compare(&mut self, what: &str, got: &[f32], want: &[f64], allowed: f64) {
        let size = want.iter().fold(1e-30_f64, |size, w| size.max(w.abs()));
        let far = |(got, want): (&f32, &f64)| match (f64::from(*got) - want).abs() / size {
            off if off.is_nan() => f64::INFINITY,
            off => off,
        };
        let error = if got.len() == want.len() {
            got.iter().zip(want).map(far).fold(0.0, f64::max)
        } else {
            f64::INFINITY
        };
        let source = self.bench.calls.source;
        let storage = if source.storage == Storage::Bf16 { "bf16" } else { "f32" };
        let name = format!("{} {storage}, {what}", source.width);
        self.bench.found.push(Found { name, error, allowed });
    }
}

/// The nearest bf16, as a float.
fn near_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

/// Checks the kernels compiled for one width and storage.
pub(crate) struct Bench {
    device: Device,
    calls: Calls,
    dice: Dice,
    found: Vec<Found>,
}

impl Bench {
    pub(crate) fn new(device: &Device, source: Source, seed: u64) -> Self {
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ source.width as u64);
        Self { device: device.clone(), calls: Calls { source }, dice, found: Vec::new() }
    }

    pub(crate) fn all(mut self, shapes: Shapes) -> Result<Vec<Found>> {
        for rows in shapes.rows {
            self.norm(*rows, true)?;
            self.norm(*rows, false)?;
        }
        for (count, blocks) in shapes.parameters {
            // Clipped, not clipped, and without a largest norm.
            for (largest_norm, weight_decay) in [(3.0, 0.1), (1e6, 0.01), (0.0, 0.0)] {
                self.adam(*count, *blocks, largest_norm, weight_decay)?;
            }
        }
        for (sequences, tokens, states) in shapes.scans {
            self.scan(*sequences, *tokens, *states)?;
        }
        for rows in shapes.few {
            self.few_rows(*rows, Form::Forward)?;
            self.few_rows(*rows, Form::Input)?;
        }
        Ok(self.found)
    }

    fn check(&mut self) -> Check<'_> {
        Check { bench: self, layout: Layout::default(), given: Vec::new() }
    }

    /// What is allowed of values as they are stored.
    fn stored(&self, single: f64) -> (Element, f64) {
        match self.calls.source.storage {
            Storage::F32 => (Element::F32, single),
            Storage::Bf16 => (Element::Bf16, 6e-3),
        }
    }

    fn norm(&mut self, rows: usize, rms: bool) -> Result<()> {
        let (calls, width, (stored, allowed)) = (self.calls, self.calls.source.width, self.stored(1e-6));
        let (all, blocks) = (rows * width, 3);
        let mut check = self.check();
        let (x, x_values) = check.drawn(Element::F32, all, 2.0, 1.0);
        let (residual, residual_values) = check.drawn(Element::F32, all, 1.0, 0.0);
        let (dy, dy_values) = check.drawn(Element::F32, all, 1.0, 0.0);
        let (weight, weight_values) = check.drawn(Element::F32, width, 1.0, 0.0);
        let (bias, bias_values) = check.drawn(Element::F32, width, 1.0, 0.0);
        let total = check.given(Element::F32, residual_values.iter().map(|r| *r as f32).collect());
        let [sum, dx, z, z_sum] = [0; 4].map(|_| check.empty(Element::F32, all));
        let [y, low, z_y] = [0; 3].map(|_| check.empty(stored, all));
        let partials = check.empty(Element::F32, blocks * 2 * width);
        let arena = check.arena()?;
        let lines = [Some(weight), (!rms).then_some(bias)];
        check.run(
            &arena,
            &[
                calls.add_norm(x, Some(residual), lines, Some(sum), y)?,
                calls.norm_add_norm(x, lines, z, residual, lines, z_sum, z_y)?,
                calls.norm_backward(&NormBackward {
                    dy,
                    x,
                    weight,
                    residual: Some(residual),
                    dx,
                    low: Some(low),
                    total: Some(total),
                    partials,
                    rms,
                })?,
            ],
        )?;

        let with_residual = |values: &[f64]| -> Vec<f64> {
            values.iter().zip(&residual_values).map(|(value, r)| value + r).collect()
        };
        let norm =
            |values: &[f64]| reference::norm(values, &weight_values, (!rms).then_some(&bias_values[..]));
        let want_sum = with_residual(&x_values);
        let (want_y, want_z) = (norm(&want_sum), norm(&x_values));
        let want_z_sum = with_residual(&want_z);
        let want_z_y = norm(&want_z_sum);
        let [mut want_dx, want_dweight, want_dbias] =
            reference::norm_backward(&dy_values, &x_values, &weight_values, rms);
        want_dx = with_residual(&want_dx);
        let want_total = with_residual(&want_dx);
        let name = format!("{} norm of {rows} rows", if rms { "RMS" } else { "layer" });
        check.compare(&format!("{name}: sum"), &arena.read_floats(sum)?, &want_sum, 1e-7);
        check.compare(&name, &arena.read_stored(y)?, &want_y, allowed);
        check.compare(&format!("{name}, then another: first"), &arena.read_floats(z)?, &want_z, 1e-6);
        check.compare(&format!("{name}, then another: sum"), &arena.read_floats(z_sum)?, &want_z_sum, 1e-6);
        let second = arena.read_stored(z_y)?;
        check.compare(&format!("{name}, then another"), &second, &want_z_y, allowed.max(2e-6));
        check.compare(&format!("{name}: dx"), &arena.read_floats(dx)?, &want_dx, 1e-6);
        check.compare(&format!("{name}: dx, added"), &arena.read_floats(total)?, &want_total, 1e-6);
        check.compare(&format!("{name}: dx as stored"), &arena.read_stored(low)?, &want_dx, allowed);
        let parts = arena.read_floats(partials)?;
        let sums = |line: usize| -> Vec<f32> {
            let of = |c: usize| (0..blocks).map(|b| parts[(2 * b + line) * width + c]).sum();
            (0..width).map(of).collect()
        };
        check.compare(&format!("{name}: dweight"), &sums(0), &want_dweight, 2e-6);
        check.compare(&format!("{name}: dbias"), &sums(1), &want_dbias, 2e-6);
        Ok(())
    }

    fn adam(&mut self, count: usize, blocks: usize, largest_norm: f64, weight_decay: f64) -> Result<()> {
        const STEPS: usize = 3;
        let (calls, (stored, _)) = (self.calls, self.stored(0.0));
        let settings = reference::Settings {
            learning_rate: 1e-2,
            largest_norm,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay,
        };
        let mut check = self.check();
        // With weight decay, numbers of one sign: where a gradient and the decay nearly cancel, Adam's quotient makes the
        // rounding of what is left as large as the update.
        let (scale, middle) = if weight_decay > 0.0 { (0.1, 1.0) } else { (1.0, 0.0) };
        let (parameters, start) = check.drawn(Element::F32, count, scale, middle);
        let (gradients, gradient) = check.drawn(Element::F32, count, scale, middle);
        let [first, second] = [0; 2].map(|_| check.given(Element::F32, vec![0.0; count]));
        let decision = check.given(Element::F32, vec![0.0; DECISION]);
        let [low, narrowed] = [0; 2].map(|_| check.empty(stored, count));
        let partials = check.empty(Element::F32, blocks);
        let on_device = check.empty(Element::F64, looped_gpu::calls::SETTINGS);
        let arena = check.arena()?;
        let [b1, b2] = settings.betas;
        let numbers = [settings.learning_rate, largest_norm, b1, b2, settings.eps, weight_decay];
        arena.write_doubles(on_device, &numbers)?;
        let places = Adam { parameters, gradients, first, second, low: Some(low) };
        let mut step = calls.decide(gradients, partials, on_device, decision)?.to_vec();
        step.push(calls.adam(&places, on_device, decision)?);
        let mut want = reference::Adam::new(&start);
        let mut decided = [0.0; 2];
        for _ in 0..STEPS {
            check.run(&arena, &step)?;
            decided = want.update(&gradient, &settings);
        }
        check.run(&arena, &[calls.narrow(parameters, narrowed)?])?;

        let name = format!("Adam of {count}, norm <= {largest_norm}, weight decay {weight_decay}");
        let told = arena.read_floats(decision)?;
        check.compare(&format!("{name}: norm"), &told[..1], &decided[..1], 2e-6);
        check.compare(&format!("{name}: clip"), &told[1..2], &decided[1..], 2e-6);
        let after = arena.read_floats(parameters)?;
        check.compare(&name, &after, &want.parameters, 1e-6);
        for (what, place, moments) in
            [("first", first, &want.moments[0]), ("second", second, &want.moments[1])]
        {
            check.compare(&format!("{name}: {what} moments"), &arena.read_floats(place)?, moments, 2e-6);
        }
        let held: Vec<f64> = arena.read_stored(narrowed)?.into_iter().map(f64::from).collect();
        check.compare(&format!("{name}: as stored"), &arena.read_stored(low)?, &held, 0.0);

        // A gradient that isn't finite changes nothing, and no update is counted.
        let mut broken: Vec<f32> = gradient.iter().map(|g| *g as f32).collect();
        broken[count / 2] = f32::NAN;
        arena.write_floats(gradients, &broken)?;
        check.run(&arena, &step)?;
        let unchanged: Vec<f64> = after.into_iter().map(f64::from).collect();
        check.compare(&format!("{name}: after NaN"), &arena.read_floats(parameters)?, &unchanged, 0.0);
        let updates = arena.read_floats(decision)?[5].to_bits() as f32;
        check.compare(&format!("{name}: updates"), &[updates], &[STEPS as f64], 0.0);
        Ok(())
    }

    fn scan(&mut self, sequences: usize, tokens: usize, states: usize) -> Result<()> {
        const AT_A_TIME: usize = 8;
        let (calls, width, (stored, allowed)) = (self.calls, self.calls.source.width, self.stored(4e-6));
        let (all, numbers) = (sequences * tokens * width, states * width);
        let mut check = self.check();
        let (x, x_values) = check.drawn(stored, all, 1.0, 0.0);
        let (dy, dy_values) = check.drawn(stored, all, 1.0, 0.0);
        let (decay, decay_values) = check.drawn(Element::F32, numbers, 0.1, 0.7);
        let (gain, gain_values) = check.drawn(Element::F32, numbers, 1.0, 0.0);
        let (read, read_values) = check.drawn(Element::F32, numbers, 1.0, 0.0);
        let (skip, skip_values) = check.drawn(Element::F32, width, 1.0, 0.0);
        let [y, dx] = [0; 2].map(|_| check.empty(stored, all));
        let kept = check.empty(Element::F32, all * AT_A_TIME);
        let partials = check.empty(Element::F32, sequences * (3 * states + 1) * width);
        let arena = check.arena()?;
        let space = StateSpace { decay, gain, read, skip };
        check.run(
            &arena,
            &[
                calls.scan(&space, States::default(), x, y, tokens)?,
                calls.scan_backward(&space, None, States::default(), [x, dy], dx, kept, partials, tokens)?,
            ],
        )?;
        let space = reference::StateSpace {
            numbers: [&decay_values, &gain_values, &read_values],
            skip: &skip_values,
        };
        let [want_y, want_dx, want_sums] = reference::scan(&space, &x_values, &dy_values, tokens);
        let name = format!("scan of {sequences} x {tokens}, {states} states");
        check.compare(&name, &arena.read_stored(y)?, &want_y, allowed);
        check.compare(&format!("{name}: dx"), &arena.read_stored(dx)?, &want_dx, allowed);
        check.compare(&format!("{name}: numbers"), &arena.read_floats(partials)?, &want_sums, 4e-6);
        Ok(())
    }

    /// The products of a cell with four gates: added to what is there, and forward with a bias too.
    fn few_rows(&mut self, rows: usize, form: Form) -> Result<()> {
        let (calls, (stored, _)) = (self.calls, self.stored(0.0));
        let (inputs, outputs) = (calls.source.width, 4 * calls.source.width);
        let math = if stored == Element::Bf16 { Math::Bf16 } else { Math::F32 };
        let (columns, inner) = if form == Form::Forward { (outputs, inputs) } else { (inputs, outputs) };
        let mut check = self.check();
        let (left, left_values) = check.drawn(stored, rows * inner, 1.0, 0.0);
        let (right, right_values) = check.drawn(stored, columns * inner, 1.0, 0.0);
        let (out, start_values) = check.drawn(Element::F32, rows * columns, 1.0, 0.0);
        let (bias, bias_values) = check.drawn(Element::F32, columns, 1.0, 0.0);
        let bias = (form == Form::Forward).then_some(bias);
        let arena = check.arena()?;
        let start = Some(out);
        let product = Product { form, math, rows, outputs, inputs, left, right, bias, start, out };
        check.run(&arena, &[calls.few_rows(&product)?])?;
        let want = |index: usize| -> f64 {
            let (row, column) = (index / columns, index % columns);
            let weight = |k: usize| match form {
                Form::Forward => right_values[column * inner + k],
                _ => right_values[k * columns + column],
            };
            let sum: f64 = (0..inner).map(|k| left_values[row * inner + k] * weight(k)).sum();
            sum + start_values[index] + bias.map_or(0.0, |_| bias_values[column])
        };
        let want: Vec<f64> = (0..rows * columns).map(want).collect();
        check.compare(&product.name(), &arena.read_floats(out)?, &want, 2e-6);
        Ok(())
    }
}
