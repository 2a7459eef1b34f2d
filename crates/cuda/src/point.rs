//! Elementwise programs: their text as CUDA kernels, and their launches.

use std::fmt::Write;

use looped_gpu::calls::{Given, Own};
use looped_graph::lower::{At, Kernel, PointOf, Program, Strided};
use looped_graph::ops::Func;
use looped_graph::{Instruction, Reg};

/// The functions that programs are made of, as `ops` and `point` define them.
const FUNCTIONS: &str = "
DEVICE float sigmoid_of(float a) { return 1.0f / (1.0f + expf(-a)); }
DEVICE float gelu_gate(float a) { return sigmoid_of(1.595769121605731f * (a + 0.044715f * a * a * a)); }
DEVICE float gelu_slope(float a) {
  float gate = gelu_gate(a);
  return gate + a * gate * (1.0f - gate) * 1.595769121605731f * (1.0f + 3.0f * 0.044715f * a * a);
}
";

/// Threads of a block.
const THREADS: usize = 256;
/// Rows that a thread goes through, about: where sums are made, as many as leave enough blocks to fill a card.
const ROWS: [usize; 2] = [4, 16];
/// The most blocks along the rows.
const MOST: [usize; 2] = [65_535, 264];

/// The kernels of all elementwise programs of a program; `None` if there are none.
pub(crate) fn kernels(program: &Program) -> Option<Own> {
    let mut all: Vec<&PointOf> = Vec::new();
    for step in program.lists().into_iter().flatten() {
        if let Kernel::Point(of) = &step.kernel
            && all.iter().all(|known| known.id != of.id)
        {
            all.push(of);
        }
    }
    if all.is_empty() {
        return None;
    }
    let mut text = FUNCTIONS.to_owned();
    all.iter().for_each(|of| kernel(of, &mut text));
    Some(Own::new(text))
}

/// The name of a program's kernel.
pub(crate) fn name(of: &PointOf) -> String {
    format!("point_{}", of.id)
}

/// Columns that a block takes.
fn columns(of: &PointOf) -> usize {
    of.width.next_power_of_two().min(THREADS)
}

/// Whether it makes sums over all rows.
pub(crate) fn sums(of: &PointOf) -> bool {
    of.results.iter().any(|(strided, _)| matches!(strided.at, At::Gradient(_)))
}

/// The grid for so many rows.
pub(crate) fn grid(of: &PointOf, rows: usize) -> [usize; 2] {
    let sums = usize::from(sums(of));
    let lines = rows.div_ceil((THREADS / columns(of)) * ROWS[sums]);
    [of.width.div_ceil(columns(of)), lines.clamp(1, MOST[sums])]
}

/// Rows of partial sums that it leaves.
pub(crate) fn lines(of: &PointOf, rows: usize) -> usize {
    grid(of, rows)[1] * (THREADS / columns(of))
}

/// The rows of a program whose places have so many floats.
pub(crate) fn rows(of: &PointOf, lens: &[usize]) -> usize {
    let all = of.inputs.iter().chain(of.results.iter().map(|(strided, _)| strided));
    let found = all.filter_map(|strided| match strided.at {
        At::Place(place) if strided.stride > 0 => Some(lens[place] / strided.stride),
        _ => None,
    });
    found.max().unwrap_or(0)
}

/// The arguments of a launch: inputs and results in order, then the rows.
pub(crate) fn arguments(inputs: Vec<Given>, results: Vec<Given>, rows: usize) -> Vec<Given> {
    inputs.into_iter().chain(results).chain([Given::Int(rows)]).collect()
}

fn kernel(of: &PointOf, text: &mut String) {
    // Writing to a string can't fail.
    let _ = write_kernel(of, text);
}

fn write_kernel(of: &PointOf, text: &mut String) -> std::fmt::Result {
    let inputs = (0..of.inputs.len()).map(|i| format!("const float* in_{i}"));
    let results = (0..of.results.len()).map(|i| format!("float* out_{i}"));
    let parameters: Vec<String> = inputs.chain(results).chain(["int rows".to_owned()]).collect();
    let (wide, columns) = (of.width, columns(of));
    let lines = THREADS / columns;
    writeln!(text, "\nKERNEL({THREADS}) {}({}) {{", name(of), parameters.join(", "))?;
    writeln!(text, "  int column = blockIdx.x * {columns} + threadIdx.x % {columns};")?;
    writeln!(
        text,
        "  int line = blockIdx.y * {lines} + threadIdx.x / {columns}, lines = gridDim.y * {lines};"
    )?;
    writeln!(text, "  if (column >= {wide}) return;")?;
    let at = |strided: &Strided| match strided.stride {
        0 => format!("[{} + column]", strided.column),
        stride => format!("[row * {stride} + {} + column]", strided.column),
    };
    for (i, (strided, _)) in of.results.iter().enumerate() {
        if matches!(strided.at, At::Gradient(_)) {
            writeln!(text, "  float sum_{i} = 0;")?;
        }
    }
    writeln!(text, "  for (int row = line; row < rows; row += lines) {{")?;
    for (reg, instruction) in of.program.code.iter().enumerate() {
        let value = match instruction {
            Instruction::Input(i) => format!("in_{i}{}", at(&of.inputs[*i])),
            other => expression(other),
        };
        writeln!(text, "    float r{reg} = {value};")?;
    }
    for (i, (strided, add)) in of.results.iter().enumerate() {
        let reg = of.program.results[i];
        match strided.at {
            At::Gradient(_) => writeln!(text, "    sum_{i} += r{reg};")?,
            _ => {
                let add = if *add { "+" } else { "" };
                writeln!(text, "    out_{i}{} {add}= r{reg};", at(strided))?;
            }
        }
    }
    writeln!(text, "  }}")?;
    for (i, (strided, _)) in of.results.iter().enumerate() {
        if matches!(strided.at, At::Gradient(_)) {
            writeln!(text, "  out_{i}[line * {wide} + column] = sum_{i};")?;
        }
    }
    writeln!(text, "}}")
}

fn number(number: f32) -> String {
    match number {
        n if n.is_nan() => "(INFINITY - INFINITY)".to_owned(),
        f32::INFINITY => "INFINITY".to_owned(),
        f32::NEG_INFINITY => "(-INFINITY)".to_owned(),
        n => format!("({n:?}f)"),
    }
}

fn expression(instruction: &Instruction) -> String {
    match *instruction {
        Instruction::Input(_) => String::new(),
        Instruction::Const(n) => number(n),
        Instruction::Apply(func, [a, b]) => function(func, a, b),
        Instruction::IfPositive([a, b]) => format!("r{a} > 0.0f ? r{b} : 0.0f"),
        Instruction::GeluSlope(a) => format!("gelu_slope(r{a})"),
    }
}

fn function(func: Func, a: Reg, b: Reg) -> String {
    match func {
        Func::Add => format!("r{a} + r{b}"),
        Func::Sub => format!("r{a} - r{b}"),
        Func::Mul => format!("r{a} * r{b}"),
        Func::Div => format!("r{a} / r{b}"),
        Func::Scale(c) => format!("{} * r{a}", number(c)),
        Func::Offset(c) => format!("r{a} + {}", number(c)),
        Func::Exp => format!("expf(r{a})"),
        Func::Log => format!("logf(r{a})"),
        Func::Sqrt => format!("sqrtf(r{a})"),
        Func::Relu => format!("r{a} > 0.0f ? r{a} : 0.0f"),
        Func::Tanh => format!("tanhf(r{a})"),
        Func::Sigmoid => format!("sigmoid_of(r{a})"),
        Func::Gelu => format!("r{a} * gelu_gate(r{a})"),
    }
}
