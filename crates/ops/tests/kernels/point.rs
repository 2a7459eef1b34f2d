//! Elementwise programs against `f64`: random ones, each function over its range, and sums over rows.

use crate::{all_kernels, assert_close, gelu::reference as gelu, values};
use looped_ops::{Operand, Place, PointCode, PointFunc, PointResult, PointStep};
use proptest::prelude::*;

fn scalar(func: PointFunc, a: f64, b: f64) -> f64 {
    match func {
        PointFunc::Add => a + b,
        PointFunc::Sub => a - b,
        PointFunc::Mul => a * b,
        PointFunc::Div => a / b,
        PointFunc::Scale(c) => f64::from(c) * a,
        PointFunc::Offset(c) => a + f64::from(c),
        PointFunc::Exp => a.exp(),
        PointFunc::Log => a.ln(),
        PointFunc::Sqrt => a.sqrt(),
        PointFunc::Relu => a.max(0.0),
        PointFunc::Tanh => a.tanh(),
        PointFunc::Sigmoid => 1.0 / (1.0 + (-a).exp()),
        PointFunc::Gelu => gelu(a).0,
        PointFunc::GeluSlope => gelu(a).1,
        PointFunc::IfPositive => {
            if a > 0.0 {
                b
            } else {
                0.0
            }
        }
    }
}

/// The values of all steps at one element.
fn run(steps: &[PointStep], inputs: &[f64]) -> Vec<f64> {
    let mut all: Vec<f64> = Vec::new();
    for step in steps {
        all.push(match *step {
            PointStep::Input(i) => inputs[i],
            PointStep::Const(c) => f64::from(c),
            PointStep::Apply(func, a, b) => scalar(func, all[a], all[b]),
        });
    }
    all
}

/// Functions that keep values of about 1 there, so that rounding doesn't grow.
const FUNCS: [PointFunc; 11] = [
    PointFunc::Add,
    PointFunc::Sub,
    PointFunc::Mul,
    PointFunc::Scale(-0.7),
    PointFunc::Offset(0.4),
    PointFunc::Relu,
    PointFunc::Tanh,
    PointFunc::Sigmoid,
    PointFunc::Gelu,
    PointFunc::GeluSlope,
    PointFunc::Mul,
];

/// Two columns of a wide buffer that is written too, one of a buffer of its own, and one row for all.
const INPUTS: usize = 4;

fn programs() -> impl Strategy<Value = Vec<PointStep>> {
    proptest::collection::vec((0..FUNCS.len() + 1, any::<u16>(), any::<u16>()), 0..30).prop_map(|picks| {
        let mut steps: Vec<PointStep> = (0..INPUTS).map(PointStep::Input).collect();
        for (i, (func, a, b)) in picks.into_iter().enumerate() {
            let pick = |x: u16| usize::from(x) % (i + INPUTS);
            steps.push(match FUNCS.get(func) {
                Some(&func) => PointStep::Apply(func, pick(a), pick(b)),
                None => PointStep::Const(f32::from(a) / 65_536.0),
            });
        }
        steps
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Inputs and results share buffers in every way that is allowed: in place, swapped, beside each other, added.
    #[test]
    fn any_program_reads_its_places_as_they_were(
        steps in programs(),
        rows in 0..5usize,
        width in prop_oneof![1..70usize, 250..600usize],
        picks in proptest::collection::vec(any::<u16>(), 4),
        add: [bool; 4],
        seed: u64,
    ) {
        let stride = 2 * width + 3;
        let inputs = [
            Place { operand: 0, column: 0, stride, block: None },
            Place { operand: 0, column: width + 3, stride, block: None },
            Place { operand: 1, column: 0, stride: width, block: None },
            Place { operand: 2, column: 0, stride: 0, block: None },
        ];
        let targets = [inputs[0], inputs[1], inputs[2], Place { operand: 3, column: 0, stride: 0, block: None }];
        let results: Vec<PointResult> = (0..4).map(|i| PointResult {
            value: usize::from(picks[i]) % steps.len(), place: targets[i], add: add[i] || i == 3,
        }).collect();
        let code = PointCode::new(width, &steps, &inputs, &results);

        let before = [values(seed, rows * stride), values(seed ^ 1, rows * width), values(seed ^ 2, width), values(seed ^ 3, width)];
        let mut want: Vec<Vec<f64>> = before.iter().map(|x| x.iter().map(|&x| f64::from(x)).collect()).collect();
        for row in 0..rows {
            for j in 0..width {
                let at = |place: Place| (place.operand, row * place.stride + place.column + j);
                let x = inputs.map(|place| f64::from(before[at(place).0][at(place).1]));
                let all = run(&steps, &x);
                for result in &results {
                    let (operand, at) = at(result.place);
                    let held = if result.add { want[operand][at] } else { 0.0 };
                    want[operand][at] = held + all[result.value];
                }
            }
        }
        for kernels in all_kernels() {
            let [mut a, mut b, c, mut d] = before.clone();
            let mut operands =
                [Operand::Write(&mut a), Operand::Write(&mut b), Operand::Read(&c), Operand::Write(&mut d)];
            kernels.point(&code, rows, 0, &mut operands);
            for (got, want) in [&a, &b, &c, &d].iter().zip(&want) {
                // A long chain of products may grow; then it grows in both.
                assert_close("result", kernels, got, want, 2e-5);
            }
        }
    }
}

/// What the gradients of tanh and of the logistic function are made of: `a y'` and `a b y'`, with the slope on either side, and slopes that
/// something else reads too.
#[test]
fn a_slope_is_the_same_joined_with_its_product_and_apart() {
    use PointFunc::{Mul, Sub};
    use PointStep::{Apply, Const, Input};
    let (rows, width) = (3, 53);
    let x: Vec<Vec<f32>> = (0..3).map(|seed| values(seed, rows * width)).collect();
    let place = |operand| Place { operand, column: 0, stride: width, block: None };
    for of_tanh in [true, false] {
        for slope_first in [true, false] {
            for other_reader in [true, false] {
                let one = if of_tanh { 3 } else { 2 };
                let times = |a, b| if slope_first { Apply(Mul, b, a) } else { Apply(Mul, a, b) };
                let steps = [
                    Input(0),
                    Input(1),
                    Input(2),
                    Const(1.0),
                    Apply(Mul, 2, 2),
                    Apply(Sub, one, 4),
                    times(0, 5),
                    Apply(Mul, 0, 1),
                    Apply(Mul, 2, 2),
                    Apply(Sub, one, 8),
                    times(7, 9),
                ];
                let results = if other_reader { vec![6, 10, 5, 7] } else { vec![6, 10] };
                let targets: Vec<PointResult> = (3..)
                    .zip(&results)
                    .map(|(at, value)| PointResult { value: *value, place: place(at), add: false })
                    .collect();
                let code = PointCode::new(width, &steps, &[place(0), place(1), place(2)], &targets);
                for kernels in all_kernels() {
                    let mut outs = vec![vec![f32::NAN; rows * width]; results.len()];
                    let mut operands: Vec<Operand<'_>> = x.iter().map(|x| Operand::Read(x)).collect();
                    operands.extend(outs.iter_mut().map(|out| Operand::Write(out)));
                    kernels.point(&code, rows, 0, &mut operands);
                    for (out, value) in outs.iter().zip(&results) {
                        let of = |i: usize| run(&steps, &[0, 1, 2].map(|j| f64::from(x[j][i])))[*value];
                        let want: Vec<f64> = (0..rows * width).map(of).collect();
                        assert_close("slope", kernels, out, &want, 2e-7);
                    }
                }
            }
        }
    }
}

/// One function of all of `x`.
fn of(kernels: looped_ops::Kernels, func: PointFunc, x: &[f32]) -> Vec<f32> {
    let place = |operand| Place { operand, column: 0, stride: x.len(), block: None };
    let steps = [PointStep::Input(0), PointStep::Apply(func, 0, 0)];
    let code = PointCode::new(
        x.len(),
        &steps,
        &[place(0)],
        &[PointResult { value: 1, place: place(1), add: false }],
    );
    let mut out = vec![f32::NAN; x.len()];
    kernels.point(&code, 1, 0, &mut [Operand::Read(x), Operand::Write(&mut out)]);
    out
}

#[test]
fn every_function_is_right_to_a_few_in_ten_million_over_its_range() {
    let both: Vec<f32> = (-8000..8000).map(|i| i as f32 * 0.01).collect();
    let positive: Vec<f32> = (-1260..1270).map(|i| (i as f32 * 0.1).exp2() * 1.01).collect();
    let near_one: Vec<f32> = (-500..500).map(|i| 1.0 + i as f32 * 1e-4).collect();
    for kernels in all_kernels() {
        for (func, x) in [
            (PointFunc::Exp, &both),
            (PointFunc::Log, &positive),
            (PointFunc::Log, &near_one),
            (PointFunc::Sqrt, &positive),
            (PointFunc::Tanh, &both),
            (PointFunc::Sigmoid, &both),
            (PointFunc::Relu, &both),
        ] {
            for (got, &x) in of(kernels, func, x).into_iter().zip(x) {
                let want = scalar(func, f64::from(x), 0.0);
                let error = (f64::from(got) - want).abs();
                // Where the result is no normal number, or 1 was added to it, an absolute error is all that can be asked.
                let absolute = if func == PointFunc::Sigmoid { 1e-7 } else { 1.2e-38 };
                assert!(
                    error <= 3e-7 * want.abs() + absolute,
                    "{func:?}({x}) = {got}, not {want}, on {:?}",
                    kernels.isa()
                );
            }
        }
    }
}

/// Its slope, times a gradient, would be subnormal where it is near the least normal number.
#[test]
fn the_logistic_function_is_0_where_it_is_negligible() {
    let x: Vec<f32> = (0..2000).map(|i| i as f32 * -0.1).collect();
    for kernels in all_kernels() {
        let negligible =
            of(kernels, PointFunc::Sigmoid, &x).into_iter().all(|y| y == 0.0 || y > 2f32.powi(-65));
        assert!(negligible, "{:?}", kernels.isa());
    }
}

#[test]
fn the_ends_of_the_range_are_as_in_rust() {
    let x = [0.0f32, -0.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-40, 88.73, -104.0];
    type Scalar = fn(f32) -> f32;
    let rust: [(PointFunc, Scalar); 4] = [
        (PointFunc::Exp, f32::exp),
        (PointFunc::Log, f32::ln),
        (PointFunc::Sqrt, f32::sqrt),
        (PointFunc::Tanh, f32::tanh),
    ];
    for kernels in all_kernels() {
        for (func, want) in rust {
            for (got, &x) in of(kernels, func, &x).into_iter().zip(&x) {
                let want = want(x);
                let same =
                    got == want || got.is_nan() && want.is_nan() || (got - want).abs() <= 1e-6 * want.abs();
                assert!(same, "{func:?}({x}) = {got}, not {want}, on {:?}", kernels.isa());
            }
        }
        assert!(of(kernels, PointFunc::Relu, &[f32::NAN])[0].is_nan());
        assert_eq!(of(kernels, PointFunc::Relu, &[-1.0, 2.0]), [0.0, 2.0]);
    }
}

/// The slope of tanh is 1 - y^2, so the least bit that a result lacks is a gradient that shouldn't be, and it may meet a large factor.
#[test]
fn tanh_is_1_where_1_is_the_nearest_number() {
    let x: Vec<f32> = (0..4000).map(|i| 9.02 + 0.005 * i as f32).chain([1e3, f32::MAX]).collect();
    let minus: Vec<f32> = x.iter().map(|x| -x).collect();
    for kernels in all_kernels() {
        for (x, want) in [(&x, 1.0), (&minus, -1.0)] {
            for (got, x) in of(kernels, PointFunc::Tanh, x).into_iter().zip(x) {
                assert!(got == want, "tanh {x} lacks {:e} on {:?}", want - got, kernels.isa());
            }
        }
    }
}

/// The program that an author's LSTM becomes, against its formulas in 64 bits.
#[test]
fn an_lstm_cell_computes_its_formulas() {
    let (rows, width) = (3, 37);
    let (gates, before) = (values(1, rows * 4 * width), values(2, rows * width));
    let code = lstm(width);
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    for kernels in all_kernels() {
        let (mut g, mut c, mut h) = (gates.clone(), vec![0.0; rows * width], vec![0.0; rows * width]);
        let mut operands =
            [Operand::Write(&mut g), Operand::Read(&before), Operand::Write(&mut c), Operand::Write(&mut h)];
        kernels.point(&code, rows, 0, &mut operands);
        for at in 0..rows * width {
            let gate = |i: usize| f64::from(gates[at / width * 4 * width + i * width + at % width]);
            let cell = logistic(gate(1)) * f64::from(before[at]) + logistic(gate(0)) * gate(2).tanh();
            let hidden = logistic(gate(3)) * cell.tanh();
            for (got, want) in [(c[at], cell), (h[at], hidden)] {
                assert!((f64::from(got) - want).abs() <= 1e-6, "{got} for {want} on {:?}", kernels.isa());
            }
        }
    }
}

/// Gates in place, input, forget, new and output.
fn lstm(width: usize) -> PointCode {
    use PointFunc::{Add, Mul, Sigmoid, Tanh};
    use PointStep::{Apply, Input};
    let gate = |i: usize| Place { operand: 0, column: i * width, stride: 4 * width, block: None };
    let state = |operand| Place { operand, column: 0, stride: width, block: None };
    let steps = [
        Input(0),
        Input(1),
        Input(2),
        Input(3),
        Input(4),
        Apply(Sigmoid, 0, 0),
        Apply(Sigmoid, 1, 1),
        Apply(Tanh, 2, 2),
        Apply(Sigmoid, 3, 3),
        Apply(Mul, 6, 4),
        Apply(Mul, 5, 7),
        Apply(Add, 9, 10),
        Apply(Tanh, 11, 11),
        Apply(Mul, 8, 12),
    ];
    let inputs = [gate(0), gate(1), gate(2), gate(3), state(1)];
    let set = |value, place| PointResult { value, place, add: false };
    let results = [
        set(5, gate(0)),
        set(6, gate(1)),
        set(7, gate(2)),
        set(8, gate(3)),
        set(11, state(2)),
        set(13, state(3)),
    ];
    PointCode::new(width, &steps, &inputs, &results)
}

#[test]
#[should_panic(expected = "is written and overlaps")]
fn places_that_overlap_in_part_are_refused() {
    let place = |column| Place { operand: 0, column, stride: 8, block: None };
    let result = PointResult { value: 0, place: place(2), add: false };
    let _ = PointCode::new(4, &[PointStep::Input(0)], &[place(0)], &[result]);
}

#[test]
#[should_panic(expected = "operand 0 is too short")]
fn an_operand_that_is_too_short_is_refused() {
    let place = Place { operand: 0, column: 2, stride: 8, block: None };
    let result = PointResult { value: 0, place, add: false };
    let code = PointCode::new(4, &[PointStep::Const(1.0)], &[], &[result]);
    looped_ops::Kernels::best().point(&code, 2, 0, &mut [Operand::Write(&mut [0.0; 13])]);
}
