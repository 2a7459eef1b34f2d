//! A graph's elementwise programs as the kernels' code.

use looped_graph::ops::Func;
use looped_graph::{Instruction, PointProgram};
use looped_ops::{PointFunc, PointStep};

/// What the kernels do for a program, instruction by instruction.
pub(crate) fn steps(program: &PointProgram) -> Vec<PointStep> {
    let step = |instruction: &Instruction| match *instruction {
        Instruction::Input(input) => PointStep::Input(input),
        Instruction::Const(number) => PointStep::Const(number),
        Instruction::Apply(func, [a, b]) => PointStep::Apply(function(func), a, b),
        Instruction::IfPositive([a, b]) => PointStep::Apply(PointFunc::IfPositive, a, b),
        Instruction::GeluSlope(a) => PointStep::Apply(PointFunc::GeluSlope, a, a),
    };
    program.code.iter().map(step).collect()
}

const fn function(func: Func) -> PointFunc {
    match func {
        Func::Add => PointFunc::Add,
        Func::Sub => PointFunc::Sub,
        Func::Mul => PointFunc::Mul,
        Func::Div => PointFunc::Div,
        Func::Scale(c) => PointFunc::Scale(c),
        Func::Offset(c) => PointFunc::Offset(c),
        Func::Exp => PointFunc::Exp,
        Func::Log => PointFunc::Log,
        Func::Sqrt => PointFunc::Sqrt,
        Func::Relu => PointFunc::Relu,
        Func::Tanh => PointFunc::Tanh,
        Func::Sigmoid => PointFunc::Sigmoid,
        Func::Gelu => PointFunc::Gelu,
    }
}
