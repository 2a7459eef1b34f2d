//! Elementwise programs: their text as CUDA kernels, and their launches.

use std::fmt::Write;

use looped_gpu::calls::Given;
use looped_graph::lower::{At, Kernel, PointOf, Program, Strided};
use looped_graph::ops::Func;
use looped_graph::{Instruction, PointProgram, Reg};

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
/// Numbers that are few enough for a thread each.
const FEW: usize = 1 << 16;
/// The most blocks along the rows.
const MOST: [usize; 2] = [65_535, 264];

/// The text of a program's elementwise kernels behind that of the model's `other` ones, with the functions that all are made of; empty if there
/// are none.
pub(crate) fn texts(program: &Program, other: String) -> String {
    let mut all: Vec<&PointOf> = Vec::new();
    for step in program.lists().into_iter().flatten() {
        if let Kernel::Point(of) = &step.kernel
            && all.iter().all(|known| known.id != of.id)
        {
            all.push(of);
        }
    }
    let mut text = other;
    all.iter().for_each(|of| Text::of(of).write(&mut text));
    if text.is_empty() { text } else { format!("{FUNCTIONS}{text}") }
}

/// The name of a program's kernel.
pub(crate) fn name(of: &PointOf) -> String {
    format!("point_{}", of.id)
}

/// Columns that a block takes.
fn columns(width: usize) -> usize {
    width.next_power_of_two().min(THREADS)
}

/// Whether it makes sums over all rows.
pub(crate) fn sums(of: &PointOf) -> bool {
    of.results.iter().any(|(strided, _)| matches!(strided.at, At::Gradient(_)))
}

/// The grid for so many rows.
pub(crate) fn grid(of: &PointOf, rows: usize) -> [usize; 2] {
    let sums = usize::from(sums(of));
    let lines = rows.div_ceil((THREADS / columns(of.width)) * ROWS[sums]);
    [of.width.div_ceil(columns(of.width)), lines.clamp(1, MOST[sums])]
}

/// Rows of partial sums that it leaves.
pub(crate) fn lines(of: &PointOf, rows: usize) -> usize {
    grid(of, rows)[1] * (THREADS / columns(of.width))
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

/// The grid of a cell's program. At a token there are few rows: then a thread takes one.
pub(crate) fn grid_of(width: usize, rows: usize) -> [usize; 2] {
    let each = if rows * width < FEW { 1 } else { ROWS[0] };
    let lines = rows.div_ceil(THREADS / columns(width) * each);
    [width.div_ceil(columns(width)), lines.clamp(1, MOST[0])]
}

/// Where a program's input lies: columns of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    /// Numbers from a row to the next; 0 if one row stands for all.
    pub(crate) stride: usize,
    /// The first column.
    pub(crate) column: usize,
    /// Whether rows that lie otherwise are added, if there are any: their place and stride are told at each launch.
    pub(crate) with_more: bool,
}

/// Where a result goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// To the sum over the rows.
    Sum,
    /// To columns of rows.
    Rows {
        /// Numbers from a row to the next.
        stride: usize,
        /// The first column.
        column: usize,
        /// Whether it is added to what is there.
        add: bool,
        /// Whether it goes to rows of bf16, too.
        low: bool,
    },
}

/// A kernel that is still to be written down.
pub(crate) struct Text<'a> {
    pub(crate) name: String,
    /// Columns that it computes.
    pub(crate) width: usize,
    pub(crate) program: &'a PointProgram,
    /// Inputs; what isn't read is no argument of the kernel.
    pub(crate) inputs: Vec<Option<Read>>,
    pub(crate) results: Vec<(Reg, Goal)>,
}

impl<'a> Text<'a> {
    fn of(of: &'a PointOf) -> Self {
        let read = |strided: &Strided| {
            Some(Read { stride: strided.stride, column: strided.column, with_more: false })
        };
        let goal = |(&reg, (strided, add)): (&Reg, &(Strided, bool))| match strided.at {
            At::Gradient(_) => (reg, Goal::Sum),
            _ => {
                let Strided { stride, column, .. } = *strided;
                (reg, Goal::Rows { stride, column, add: *add, low: false })
            }
        };
        Self {
            name: name(of),
            width: of.width,
            program: &of.program,
            inputs: of.inputs.iter().map(read).collect(),
            results: of.program.results.iter().zip(&of.results).map(goal).collect(),
        }
    }

    /// Appends it to a text.
    pub(crate) fn write(&self, text: &mut String) {
        // Writing to a string can't fail.
        let _ = self.write_to(text);
    }

    fn parameters(&self) -> String {
        let mut all = Vec::new();
        for (i, read) in self.inputs.iter().enumerate() {
            let Some(read) = read else { continue };
            all.push(format!("const float* in_{i}"));
            if read.with_more {
                all.extend([format!("const float* more_{i}"), format!("int apart_{i}")]);
            }
        }
        for (i, (_, goal)) in self.results.iter().enumerate() {
            all.push(format!("float* out_{i}"));
            if matches!(goal, Goal::Rows { low: true, .. }) {
                all.push(format!("bf16* low_{i}"));
            }
        }
        all.push("int rows".to_owned());
        all.join(", ")
    }

    fn write_to(&self, text: &mut String) -> std::fmt::Result {
        let (wide, columns) = (self.width, columns(self.width));
        let lines = THREADS / columns;
        writeln!(text, "\nKERNEL({THREADS}) {}({}) {{", self.name, self.parameters())?;
        writeln!(text, "  int column = blockIdx.x * {columns} + threadIdx.x % {columns};")?;
        writeln!(
            text,
            "  int line = blockIdx.y * {lines} + threadIdx.x / {columns}, lines = gridDim.y * {lines};"
        )?;
        writeln!(text, "  if (column >= {wide}) return;")?;
        let at = |stride: usize, column: usize| match stride {
            0 => format!("[{column} + column]"),
            stride => format!("[row * {stride} + {column} + column]"),
        };
        let sums = self.results.iter().enumerate().filter(|(_, (_, goal))| matches!(goal, Goal::Sum));
        for (i, _) in sums.clone() {
            writeln!(text, "  float sum_{i} = 0;")?;
        }
        writeln!(text, "  for (int row = line; row < rows; row += lines) {{")?;
        for (reg, instruction) in self.program.code.iter().enumerate() {
            let value = match instruction {
                Instruction::Input(i) => self.inputs[*i].map_or_else(String::new, |read| {
                    let own = format!("in_{i}{}", at(read.stride, read.column));
                    let more = format!("more_{i}[row * apart_{i} + {} + column]", read.column);
                    if read.with_more { format!("{own} + (more_{i} ? {more} : 0.0f)") } else { own }
                }),
                other => expression(other),
            };
            writeln!(text, "    float r{reg} = {value};")?;
        }
        for (i, (reg, goal)) in self.results.iter().enumerate() {
            match *goal {
                Goal::Sum => writeln!(text, "    sum_{i} += r{reg};")?,
                Goal::Rows { stride, column, add, low } => {
                    let (at, add) = (at(stride, column), if add { "+" } else { "" });
                    writeln!(text, "    out_{i}{at} {add}= r{reg};")?;
                    if low {
                        writeln!(text, "    low_{i}{at} = from_float<bf16>(out_{i}{at});")?;
                    }
                }
            }
        }
        writeln!(text, "  }}")?;
        for (i, _) in sums {
            writeln!(text, "  out_{i}[line * {wide} + column] = sum_{i};")?;
        }
        writeln!(text, "}}")
    }
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
