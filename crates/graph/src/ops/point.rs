//! All elementwise code: scalar functions of one or two values.
//!
//! An engine joins neighbouring ones to one program.

use candle_core::{Result, Tensor};

use super::most_rows;
use crate::{Form, Meaning, Op, Reach, Shape};

/// A scalar function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Func {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a b
    Mul,
    /// a / b
    Div,
    /// c a
    Scale(f32),
    /// a + c
    Offset(f32),
    /// e^a
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// max(a, 0)
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^-a)
    Sigmoid,
    /// a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3)))
    Gelu,
}

impl Func {
    /// How many values it takes.
    #[must_use]
    pub const fn arity(self) -> usize {
        match self {
            Self::Add | Self::Sub | Self::Mul | Self::Div => 2,
            _ => 1,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "subtract",
            Self::Mul => "multiply",
            Self::Div => "divide",
            Self::Scale(_) => "scale",
            Self::Offset(_) => "offset",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Sqrt => "sqrt",
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Gelu => "gelu",
        }
    }
}

/// A scalar function of each number of one value, or of two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point(pub Func);

impl Op for Point {
    fn name(&self) -> String {
        self.0.name().to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        if inputs.iter().any(|shape| shape.width != inputs[0].width) {
            return Err("the widths differ".to_owned());
        }
        Ok(vec![Shape { rows: most_rows(inputs), width: inputs[0].width }])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn light(&self) -> bool {
        true
    }

    fn kept_by_candle(&self, inputs: &[Shape], tokens: usize) -> u64 {
        let operations = match self.0 {
            Func::Gelu => 9,
            Func::Sigmoid => 4,
            _ => 1,
        };
        operations * Shape { rows: most_rows(inputs), ..inputs[0] }.numbers(tokens)
    }

    fn form(&self) -> Form<'_> {
        Form::Point(self.0)
    }

    fn meaning(&self, inputs: &[Tensor], _: Meaning<'_>) -> Result<Vec<Tensor>> {
        let a = &inputs[0];
        let y = match self.0 {
            Func::Add => a.broadcast_add(&inputs[1])?,
            Func::Sub => a.broadcast_sub(&inputs[1])?,
            Func::Mul => a.broadcast_mul(&inputs[1])?,
            Func::Div => a.broadcast_div(&inputs[1])?,
            Func::Scale(c) => (a * f64::from(c))?,
            Func::Offset(c) => (a + f64::from(c))?,
            Func::Exp => a.exp()?,
            Func::Log => a.log()?,
            Func::Sqrt => a.sqrt()?,
            Func::Relu => a.relu()?,
            Func::Tanh => a.tanh()?,
            // By tanh, which candle differentiates on every device.
            Func::Sigmoid => (((a * 0.5)?.tanh()? + 1.0)? * 0.5)?,
            Func::Gelu => gelu(a)?,
        };
        Ok(vec![y])
    }
}

/// Of operations that candle differentiates exactly: the derivative of its own `gelu` has constants of six digits.
fn gelu(x: &Tensor) -> Result<Tensor> {
    let cube = ((x * x)? * x)?;
    let inner = ((x + (cube * 0.044_715)?)? * (2.0 / std::f64::consts::PI).sqrt())?;
    (x * 0.5)? * (inner.tanh()? + 1.0)?
}
