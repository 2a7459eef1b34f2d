//! Programs without repetition: equal instructions are shared, constants computed, and what nobody reads is left out.

use super::{Instruction, PointProgram, Reg};
use crate::ops::Func;

/// A program while it is written.
#[derive(Clone, Debug)]
pub struct PointBuilder {
    inputs: usize,
    code: Vec<Instruction>,
}

impl PointBuilder {
    /// A program of so many inputs.
    #[must_use]
    pub const fn new(inputs: usize) -> Self {
        Self { inputs, code: Vec::new() }
    }

    /// An input.
    ///
    /// # Panics
    /// If there is no such input.
    pub fn input(&mut self, input: usize) -> Reg {
        assert!(input < self.inputs, "input {input} of a program with {}", self.inputs);
        self.push(Instruction::Input(input))
    }

    /// A number.
    pub fn constant(&mut self, number: f32) -> Reg {
        self.push(Instruction::Const(number))
    }

    /// A function of values that are there already. One of one value doesn't look at the second.
    pub fn apply(&mut self, func: Func, [a, b]: [Reg; 2]) -> Reg {
        let b = if func.arity() == 2 { b } else { a };
        if let (Some(x), Some(y)) = (self.number(a), self.number(b)) {
            return self.constant(func.eval(f64::from(x), f64::from(y)) as f32);
        }
        match (func, self.number(a), self.number(b)) {
            (Func::Add, _, Some(c)) => self.apply(Func::Offset(c), [a, a]),
            (Func::Add, Some(c), _) => self.apply(Func::Offset(c), [b, b]),
            (Func::Add, ..) if a == b => self.apply(Func::Scale(2.0), [a, a]),
            (Func::Add, ..) => match (self.negated(a), self.negated(b)) {
                (_, Some(b)) => self.apply(Func::Sub, [a, b]),
                (Some(a), None) => self.apply(Func::Sub, [b, a]),
                (None, None) => self.shared(func, [a, b]),
            },
            (Func::Sub, ..) if a == b => self.constant(0.0),
            (Func::Sub, _, Some(c)) => self.apply(Func::Offset(-c), [a, a]),
            (Func::Sub, Some(0.0), _) => self.apply(Func::Scale(-1.0), [b, b]),
            (Func::Sub, ..) => match self.negated(b) {
                Some(b) => self.apply(Func::Add, [a, b]),
                None => self.shared(func, [a, b]),
            },
            (Func::Mul, _, Some(c)) => self.apply(Func::Scale(c), [a, a]),
            (Func::Mul, Some(c), _) => self.apply(Func::Scale(c), [b, b]),
            (Func::Div, _, Some(c)) => self.apply(Func::Scale(1.0 / c), [a, a]),
            (Func::Div, Some(0.0), _) => a,
            (Func::Scale(0.0), ..) => self.constant(0.0),
            (Func::Scale(1.0), ..) => a,
            (Func::Offset(0.0), ..) => a,
            (Func::Scale(c), ..) => match self.code[a] {
                Instruction::Apply(Func::Scale(d), [x, _]) => self.apply(Func::Scale(c * d), [x, x]),
                _ => self.shared(func, [a, a]),
            },
            (Func::Offset(c), ..) => match self.code[a] {
                Instruction::Apply(Func::Offset(d), [x, _]) => self.apply(Func::Offset(c + d), [x, x]),
                _ => self.shared(func, [a, a]),
            },
            _ => self.shared(func, [a, b]),
        }
    }

    /// `b` where `a` is above 0, else 0.
    pub(super) fn if_positive(&mut self, a: Reg, b: Reg) -> Reg {
        match (self.number(a), self.number(b)) {
            (_, Some(0.0)) => b,
            (Some(c), _) if c > 0.0 => b,
            (Some(_), _) => self.constant(0.0),
            _ => self.push(Instruction::IfPositive([a, b])),
        }
    }

    pub(super) fn gelu_slope(&mut self, a: Reg) -> Reg {
        self.push(Instruction::GeluSlope(a))
    }

    /// The program that leaves these values.
    #[must_use]
    pub fn finish(self, results: &[Reg]) -> PointProgram {
        let mut alive = vec![false; self.code.len()];
        results.iter().for_each(|&result| alive[result] = true);
        for i in (0..self.code.len()).rev() {
            if alive[i] {
                self.code[i].reads().iter().for_each(|&read| alive[read] = true);
            }
        }
        let mut at = vec![0; self.code.len()];
        let mut code = Vec::new();
        for (i, instruction) in self.code.iter().enumerate().filter(|(i, _)| alive[*i]) {
            at[i] = code.len();
            code.push(match *instruction {
                Instruction::Apply(func, from) => Instruction::Apply(func, from.map(|read| at[read])),
                Instruction::IfPositive(from) => Instruction::IfPositive(from.map(|read| at[read])),
                Instruction::GeluSlope(from) => Instruction::GeluSlope(at[from]),
                other => other,
            });
        }
        let results = results.iter().map(|&result| at[result]).collect();
        PointProgram { inputs: self.inputs, code, results }
    }

    pub(super) fn number(&self, reg: Reg) -> Option<f32> {
        match self.code[reg] {
            Instruction::Const(number) => Some(number),
            _ => None,
        }
    }

    /// x of -x.
    fn negated(&self, reg: Reg) -> Option<Reg> {
        match self.code[reg] {
            Instruction::Apply(Func::Scale(-1.0), [x, _]) => Some(x),
            _ => None,
        }
    }

    /// The order of two values that may be exchanged is kept, since sums are rounded in it.
    fn shared(&mut self, func: Func, [a, b]: [Reg; 2]) -> Reg {
        let exchanged = Instruction::Apply(func, [b, a]);
        if matches!(func, Func::Add | Func::Mul)
            && let Some(found) = self.code.iter().position(|known| *known == exchanged)
        {
            return found;
        }
        self.push(Instruction::Apply(func, [a, b]))
    }

    fn push(&mut self, instruction: Instruction) -> Reg {
        let same = |known: &Instruction| *known == instruction;
        self.code.iter().position(same).unwrap_or_else(|| {
            self.code.push(instruction);
            self.code.len() - 1
        })
    }
}

impl PointProgram {
    /// One function of its inputs.
    #[must_use]
    pub fn of(func: Func) -> Self {
        let mut code = PointBuilder::new(func.arity());
        let inputs: Vec<Reg> = (0..func.arity()).map(|i| code.input(i)).collect();
        let result = code.apply(func, [inputs[0], inputs[func.arity() - 1]]);
        code.finish(&[result])
    }

    /// The program that leaves only these of its registers.
    #[must_use]
    pub fn only(&self, results: &[Reg]) -> Self {
        PointBuilder { inputs: self.inputs, code: self.code.clone() }.finish(results)
    }
}
