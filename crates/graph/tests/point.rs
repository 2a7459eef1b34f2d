//! Elementwise programs: their derivative against differences and against candle's, and that they hold nothing in vain.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use candle_core::{DType, Device, Tensor, Var};
use looped_graph::ops::{Func, Point};
use looped_graph::{Instruction, Meaning, Op, PointBuilder, PointProgram};
use proptest::prelude::*;

const INPUTS: usize = 3;

/// Functions that are smooth and stay near 1 where their arguments do; the arguments of roots, logarithms and quotients are made positive.
const FUNCS: [Func; 9] = [
    Func::Add,
    Func::Sub,
    Func::Mul,
    Func::Scale(-0.7),
    Func::Offset(0.4),
    Func::Tanh,
    Func::Sigmoid,
    Func::Gelu,
    Func::Scale(0.5),
];

fn random(picks: &[(usize, u16, u16)]) -> PointProgram {
    let mut code = PointBuilder::new(INPUTS);
    let mut made: Vec<usize> = (0..INPUTS).map(|i| code.input(i)).collect();
    for &(func, a, b) in picks {
        let pick = |x: u16| made[usize::from(x) % made.len()];
        let (a, b) = (pick(a), pick(b));
        let mut positive = |x| {
            let x = code.apply(Func::Sigmoid, [x, x]);
            code.apply(Func::Offset(0.5), [x, x])
        };
        let value = match func {
            9 => {
                let b = positive(b);
                code.apply(Func::Div, [a, b])
            }
            10..=12 => {
                let a = positive(a);
                code.apply([Func::Log, Func::Sqrt, Func::Exp][func - 10], [a, a])
            }
            13 => code.constant(f32::from(picks[0].1) / 40_000.0),
            _ => code.apply(FUNCS[func], [a, b]),
        };
        made.push(value);
    }
    let results = [made[made.len() - 1], made[made.len() / 2], made[made.len() - 1]];
    code.finish(&results)
}

fn programs() -> impl Strategy<Value = PointProgram> {
    proptest::collection::vec((0..14usize, any::<u16>(), any::<u16>()), 1..16)
        .prop_map(|picks| random(&picks))
}

/// The gradient with respect to each input by candle.
fn by_candle(program: &PointProgram, inputs: &[f64], slopes: &[f64]) -> Vec<f64> {
    let device = &Device::Cpu;
    let vars: Vec<Var> =
        inputs.iter().map(|&x| Var::from_tensor(&Tensor::new(&[x], device).unwrap()).unwrap()).collect();
    let of = Meaning { params: &[], index: 0, loops: 1, sequences: 1, tokens: 1, dtype: DType::F64, device };
    let mut values: Vec<Tensor> = Vec::new();
    for instruction in &program.code {
        values.push(match *instruction {
            Instruction::Input(i) => vars[i].as_tensor().clone(),
            Instruction::Const(c) => Tensor::new(&[f64::from(c)], device).unwrap(),
            Instruction::Apply(func, from) => {
                let inputs: Vec<Tensor> = from[..func.arity()].iter().map(|&i| values[i].clone()).collect();
                Point(func).meaning(&inputs, of).unwrap().remove(0)
            }
            _ => panic!("an author can't write it"),
        });
    }
    let mut loss = Tensor::new(&[0.0f64], device).unwrap();
    for (&result, &slope) in program.results.iter().zip(slopes) {
        loss = (loss + (&values[result] * slope).unwrap()).unwrap();
    }
    let grads = loss.backward().unwrap();
    vars.iter().map(|var| grads.get(var).map_or(0.0, |grad| grad.to_vec1::<f64>().unwrap()[0])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_programs_gradient_is_what_differences_and_candle_say(
        program in programs(),
        x in proptest::array::uniform3(-1.5..1.5f64),
        slopes in proptest::array::uniform3(-1.0..1.0f64),
        keep: u64,
    ) {
        let kept: Vec<usize> = (0..program.code.len()).filter(|i| keep >> (i % 64) & 1 == 1).collect();
        let gradient = program.gradient(&[0, 1, 2], &kept);
        let whole = PointProgram { results: kept.clone(), ..program.clone() };
        let inputs: Vec<f64> = x.iter().copied().chain(whole.eval(&x)).chain(slopes).collect();
        let got = gradient.eval(&inputs);
        let loss = |x: &[f64]| -> f64 { program.eval(x).iter().zip(&slopes).map(|(y, slope)| y * slope).sum() };
        let candle = by_candle(&program, &x, &slopes);
        for i in 0..INPUTS {
            let moved = |by: f64| { let mut x = x; x[i] += by; loss(&x) };
            // Fourth order, so that what is left is rounding.
            let h = 1e-3;
            let want = (8.0 * (moved(h) - moved(-h)) - (moved(2.0 * h) - moved(-2.0 * h))) / (12.0 * h);
            // Products of products bend fast. candle's derivative is exact but for the few digits of GELU's constants.
            let scale = 1.0f64.max(want.abs()).max(got.iter().fold(0.0, |m: f64, g| m.max(g.abs())));
            prop_assert!((got[i] - candle[i]).abs() <= 1e-5 * scale, "{i}: {} and by candle {}", got[i], candle[i]);
            prop_assert!((got[i] - want).abs() <= 1e-4 * scale.powi(3), "{i}: {} and by differences {want}", got[i]);
        }
    }

    #[test]
    fn a_program_holds_nothing_twice_and_nothing_in_vain(program in programs(), keep: u64) {
        let kept: Vec<usize> = (0..program.code.len()).filter(|i| keep >> (i % 64) & 1 == 1).collect();
        for program in [program.gradient(&[2, 0], &kept), program] {
            for (i, instruction) in program.code.iter().enumerate() {
                prop_assert!(instruction.reads().iter().all(|&read| read < i));
                prop_assert!(!program.code[..i].contains(instruction), "{instruction:?} twice");
                let read = program.code.iter().any(|other| other.reads().contains(&i));
                prop_assert!(read || program.results.contains(&i), "{instruction:?} in vain");
            }
        }
    }
}

#[test]
fn relu_passes_a_gradient_only_above_zero() {
    let mut code = PointBuilder::new(1);
    let x = code.input(0);
    let y = code.apply(Func::Relu, [x, x]);
    let gradient = code.finish(&[y]).gradient(&[0], &[]);
    assert_eq!([-1.0, 0.0, 2.0].map(|x| gradient.eval(&[x, 3.0])[0]), [0.0, 0.0, 3.0]);
}

/// Derivatives of gates use the gates themselves: with these kept, no function but products and sums is left.
#[test]
fn the_gradient_of_a_kept_gate_computes_no_gate() {
    let mut code = PointBuilder::new(2);
    let (x, h) = (code.input(0), code.input(1));
    let gate = code.apply(Func::Sigmoid, [x, x]);
    let new = code.apply(Func::Tanh, [h, h]);
    let y = code.apply(Func::Mul, [gate, new]);
    let program = code.finish(&[y]);
    let place =
        |func| program.code.iter().position(|i| matches!(i, Instruction::Apply(f, _) if *f == func)).unwrap();
    let gradient = program.gradient(&[0, 1], &[place(Func::Sigmoid), place(Func::Tanh)]);
    assert!(!gradient.reads(0) && !gradient.reads(1));
    let light = |i: &Instruction| match i {
        Instruction::Apply(func, _) => matches!(func, Func::Mul | Func::Sub),
        _ => true,
    };
    assert!(gradient.code.iter().all(light), "{gradient:?}");
}
