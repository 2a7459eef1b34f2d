//! Elementwise programs: scalar functions joined to straight-line code, with their derivative.

mod build;
mod eval;
mod gradient;

pub use build::PointBuilder;

use crate::ops::Func;

/// What an instruction leaves: its place in [`PointProgram::code`].
pub type Reg = usize;

/// One step of a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instruction {
    /// An input, by number.
    Input(usize),
    /// A number.
    Const(f32),
    /// A function; one of one value doesn't look at the second.
    Apply(Func, [Reg; 2]),
    /// The second where the first is above 0, else 0: what the gradient of [`Func::Relu`] is made of.
    IfPositive([Reg; 2]),
    /// The derivative of [`Func::Gelu`].
    GeluSlope(Reg),
}

impl Instruction {
    /// What it reads.
    #[must_use]
    pub fn reads(&self) -> &[Reg] {
        match self {
            Self::Input(_) | Self::Const(_) => &[],
            Self::Apply(func, from) => &from[..func.arity()],
            Self::IfPositive(from) => from,
            Self::GeluSlope(from) => std::slice::from_ref(from),
        }
    }
}

/// An elementwise program over rows of one width. It computes each number of its results from the numbers in the same place of its inputs.
///
/// Every instruction stands after what it reads, none is there twice, and none is there in vain.
///
/// ```
/// use looped_graph::{PointBuilder, ops::Func};
///
/// let mut code = PointBuilder::new(2);
/// let (x, y) = (code.input(0), code.input(1));
/// let product = code.apply(Func::Mul, [x, y]);
/// let program = code.finish(&[product]);
/// // Inputs of the gradient: x, y, and the gradient with respect to x y.
/// let gradient = program.gradient(&[0, 1], &[]);
/// assert_eq!(gradient.eval(&[3.0, 5.0, 1.0]), [5.0, 3.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PointProgram {
    /// How many inputs it has.
    pub inputs: usize,
    /// What is done, in order.
    pub code: Vec<Instruction>,
    /// What it leaves.
    pub results: Vec<Reg>,
}

impl PointProgram {
    /// Whether it reads an input.
    #[must_use]
    pub fn reads(&self, input: usize) -> bool {
        self.code.contains(&Instruction::Input(input))
    }
}
