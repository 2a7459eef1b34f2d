//! Programs on single numbers.

use super::{Instruction, PointProgram};
use crate::ops::Func;

impl Func {
    /// Its value; a function of one number doesn't look at `b`.
    #[must_use]
    pub fn eval(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Scale(c) => f64::from(c) * a,
            Self::Offset(c) => a + f64::from(c),
            Self::Exp => a.exp(),
            Self::Log => a.ln(),
            Self::Sqrt => a.sqrt(),
            Self::Relu => {
                if a > 0.0 {
                    a
                } else {
                    0.0
                }
            }
            Self::Tanh => a.tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-a).exp()),
            Self::Gelu => a * gelu_gate(a),
        }
    }
}

/// Twice the square root of 2/pi, and the factor of the cube.
const GELU: (f64, f64) = (1.595_769_121_605_731, 0.044_715);

/// GELU is x times this: (1 + tanh u)/2 is the logistic function of 2u.
fn gelu_gate(a: f64) -> f64 {
    Func::Sigmoid.eval(GELU.0 * (a + GELU.1 * a * a * a), 0.0)
}

fn gelu_slope(a: f64) -> f64 {
    let gate = gelu_gate(a);
    gate + a * gate * (1.0 - gate) * GELU.0 * (1.0 + 3.0 * GELU.1 * a * a)
}

impl PointProgram {
    /// Its results at one place, from its inputs there, in f64.
    #[must_use]
    pub fn eval(&self, inputs: &[f64]) -> Vec<f64> {
        let mut values: Vec<f64> = Vec::with_capacity(self.code.len());
        for instruction in &self.code {
            values.push(match *instruction {
                Instruction::Input(input) => inputs[input],
                Instruction::Const(number) => f64::from(number),
                Instruction::Apply(func, [a, b]) => func.eval(values[a], values[b]),
                Instruction::IfPositive([a, b]) => {
                    if values[a] > 0.0 {
                        values[b]
                    } else {
                        0.0
                    }
                }
                Instruction::GeluSlope(a) => gelu_slope(values[a]),
            });
        }
        self.results.iter().map(|&result| values[result]).collect()
    }
}
