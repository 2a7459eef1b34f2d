//! From a graph to the steps of a training step: which kernel, on which memory.
//!
//! A graph says what is computed. A [`Program`] says how, for prompts of one length: a list of [`Step`]s forward and one backward, each a
//! [`Kernel`] with the [`Place`]s that it reads and writes. An engine on a processor or on a card runs the same lists.
//!
//! The backward list is derived. Going through the forward one in reverse, each operation asks for the values that its gradient needs. What
//! it asks for is kept if it was dear to compute, and computed once more if it was cheap; nothing else is kept.
//!
//! Tokens are cut in two where the state begins to matter ([`invariant_rows`](crate::invariant_rows)). The first ones, the *early* part, run once; every loop over
//! the later ones reads what the early ones left for them: keys and values, or a recurrent state.

mod arena;
mod attention;
mod columns;
mod emit;
mod explain;
mod island;
mod linear;
mod norm;
mod once;
mod part;
mod point;
mod product;
mod program;
mod recur;
mod rows;
mod scan;
mod shift;
mod units;
mod watch;
mod writes;

use std::sync::Arc;

pub use arena::Sizes;
pub use explain::Explained;
pub use once::Once;
pub use part::{Early, Looped, Pair};
pub use program::{Program, Shapes};
pub use watch::Watched;

use crate::ops::{Beyond, CpuKernel, Rotary};
use crate::{Form, Graph, Heads, Node, NodeId, Norm, NormKind, Op, Param, PointProgram, Reach, Rows};

/// The prompts and tokens that a list of steps works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// How many prompts.
    pub sequences: usize,
    /// The first token.
    pub first: usize,
    /// Tokens of each prompt, from the first on.
    pub tokens: usize,
    /// Those of them at which predictions are made, counted from the first, in order.
    pub reads: Arc<[usize]>,
}

impl Chunk {
    /// Rows of all tokens.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.sequences * self.tokens
    }

    /// Rows of those at which predictions are made.
    #[must_use]
    pub fn read_rows(&self) -> usize {
        self.sequences * self.reads.len()
    }
}

/// Which memory of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Of the early tokens, kept while the later ones are looped over.
    Early,
    /// Of the later tokens, the same for all loops.
    Chunk,
    /// Of one loop that will be run backward.
    Slot,
    /// Of the loop after it.
    Next,
    /// Of one list of steps.
    Scratch,
}

/// Where numbers lie: so many from a start on, counted in floats within a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which memory.
    pub space: Space,
    /// The first number.
    pub start: u32,
    /// How many.
    pub len: u32,
}

impl Place {
    /// No numbers.
    pub const NONE: Self = Self { space: Space::Scratch, start: 0, len: 0 };

    /// Whether the two have numbers in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.space == other.space
            && self.start < other.start + other.len
            && other.start < self.start + self.len
    }
}

/// A row of numbers that is the same for all prompts: a parameter, or a result of the operations on parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// A parameter.
    Param(Param),
    /// A result of an operation on parameters, by its place among all of them.
    Step(usize),
    /// The loop's row of a table.
    Loop {
        /// (rows, width)
        table: Param,
        /// How many rows it has.
        rows: usize,
        /// Which of them loops beyond get; it isn't [`Beyond::Interpolate`].
        beyond: Beyond,
    },
    /// The loop's result of an operation on such rows, by its place among all of them.
    EachLoop(usize),
}

/// Whether a node's operation is computed by code of its own, outside of the engine's kernels: by its form on slices, or by its meaning.
fn is_island(graph: &Graph, id: NodeId, engine: &dyn Engine) -> bool {
    let node = graph.node(id);
    match node.op().map(Op::form) {
        Some(Form::Norm(norm)) => !norm.has_kernel(),
        Some(Form::Recur(_)) => engine.recur(id, 1, 1, false).is_err(),
        Some(Form::Custom(_)) => node.shapes.iter().any(|shape| shape.rows != Rows::Once),
        _ => false,
    }
}

/// Why a node's operation runs by its meaning, in candle's operations, although the engine computes the rest; `None` if it doesn't.
#[must_use]
pub fn by_candle(graph: &Graph, id: NodeId, engine: &dyn Engine) -> Option<String> {
    let node = graph.node(id);
    if !is_island(graph, id, engine) || on_slices(node).is_some() {
        return None;
    }
    let refused = match node.op().map(Op::form) {
        Some(Form::Recur(_)) => engine.recur(id, 1, 1, false).err(),
        _ => None,
    };
    Some(refused.unwrap_or("there is no kernel for it").to_owned())
}

/// The form on slices of an author's own operation, if an engine may use it on a part of the rows: if each row sees itself alone.
#[must_use]
pub fn on_slices(node: &Node) -> Option<&dyn CpuKernel> {
    match node.op().map(Op::form) {
        Some(Form::Custom(custom)) if custom.reach() == Reach::Own => custom.cpu(),
        _ => None,
    }
}

impl Norm {
    /// Whether the engines have a kernel for it: a layer norm with its bias, or a root-mean-square norm without.
    #[must_use]
    pub fn has_kernel(self) -> bool {
        (self.kind == NormKind::Layer) == self.bias.is_some()
    }
}

/// What a product begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing.
    Zero,
    /// What the output holds.
    Output,
    /// A bias, on every row.
    Bias(Param),
    /// A bias, and another value.
    Residual(Param),
}

/// What one step does. Each kind says which places it has, in order; `w` are those it writes.
#[derive(Clone, Debug)]
pub enum Kernel {
    /// out = a W^T, or a W if `transposed`, from a start: a, out(w); with [`Start::Residual`] a, residual, out(w).
    Product {
        /// (out, inputs)
        weight: Param,
        /// Whether it goes backward through the layer.
        transposed: bool,
        /// Whether it stays in f32.
        exact: bool,
        /// What it begins with.
        start: Start,
    },
    /// out = or += a W^T, or a W if `transposed`: a, out(w).
    RowProduct {
        /// Where W lies.
        matrix: RowMatrix,
        /// Whether it goes backward.
        transposed: bool,
        /// Whether out is added to.
        add: bool,
    },
    /// dW += dy^T x: dy, x.
    RowGradient(RowMatrix),
    /// pre = a W^T + b, out = gelu(pre): a, pre(w), out(w).
    ProductGelu {
        /// (out, inputs)
        weight: Param,
        /// (out)
        bias: Param,
        /// Whether it stays in f32.
        exact: bool,
    },
    /// out = gelu(a W^T + b): a, out(w).
    ProductGeluOnly {
        /// (out, inputs)
        weight: Param,
        /// (out)
        bias: Param,
        /// Whether it stays in f32.
        exact: bool,
    },
    /// out = (dy W) gelu'(pre), and pre becomes gelu(pre): dy, pre(w), out(w).
    ProductGeluBack {
        /// (out, inputs)
        weight: Param,
        /// Whether it stays in f32.
        exact: bool,
    },
    /// dW += dy^T x, db += the column sums of dy: dy, x.
    WeightGradient {
        /// (out, inputs)
        weight: Param,
        /// Numbers in a row of dy.
        out: usize,
        /// (out)
        bias: Option<Param>,
        /// Whether it stays in f32.
        exact: bool,
    },
    /// out = x w + b, a product with one column, at the read rows alone if `picks`: x, out(w).
    Dot {
        /// (1, inputs)
        weight: Param,
        /// (1)
        bias: Option<Param>,
        /// Whether x has all rows.
        picks: bool,
    },
    /// dx += dy w, dw += dy x, db += dy: dy, x, dx(w).
    DotBack {
        /// (1, inputs)
        weight: Param,
        /// (1)
        bias: Option<Param>,
        /// Whether x has all rows.
        picks: bool,
    },
    /// out = norm(x): x, out(w), mean(w), inverse deviation(w).
    Norm(Norm),
    /// dx = or += the gradient with respect to x, and those of the parameters: dy, x, mean, inverse deviation, dx(w).
    NormBack {
        /// Which.
        norm: Norm,
        /// Whether dx is added to.
        add: bool,
    },
    /// Softmax attention after `prefix` earlier tokens: qkv, earlier qkv, out(w), kept(w).
    Attention {
        /// How a row is divided.
        heads: Heads,
        /// Earlier tokens.
        prefix: usize,
    },
    /// qkv, earlier qkv, kept, dout, dqkv(w), d(earlier qkv)(w, added to), and out where the engine asks for it.
    AttentionBack {
        /// How a row is divided.
        heads: Heads,
        /// Earlier tokens.
        prefix: usize,
    },
    /// x, earlier states, out(w), last states(w), scratch(w).
    Scan(ScanOf),
    /// x, earlier states, d(last states), dy(w), d(earlier states)(w, added to), scratch(w): dy becomes dx.
    ScanBack(ScanOf),
    /// Each row of out is x's of `by` tokens before, the first ones those of earlier tokens, or 0; last are x's last rows: x, earlier rows,
    /// out(w), last(w).
    Shift {
        /// Tokens.
        by: usize,
    },
    /// dout, d(last), dx(w), d(earlier rows)(w, added to).
    ShiftBack {
        /// Tokens.
        by: usize,
        /// Whether dx is added to.
        add: bool,
    },
    /// A recurrence: x, earlier states, tape(w), last states(w), scratch(w), one out(w) for each state that is read.
    Recur(RecurOf),
    /// x, d(last states), tape(w), d(earlier states)(w, added to), scratch(w), dx(w), one dout for each state whose gradient there is.
    RecurBack(RecurOf),
    /// An elementwise program, on the places that [`PointOf`] says.
    Point(PointOf),
    /// out = or += columns of x, from one on: x, out(w).
    TakeColumns {
        /// The first column.
        start: usize,
        /// Numbers in a row of x.
        of: usize,
        /// Whether out is added to.
        add: bool,
    },
    /// Columns of out, from one on, are x, or have x added: x, out(w).
    PutColumns {
        /// The first column.
        start: usize,
        /// Numbers in a row of out.
        of: usize,
        /// Whether out is added to.
        add: bool,
    },
    /// Each row of out is the column of a table, (width, entries), at the token's number: numbers, out(w).
    Lookup(Param),
    /// The table's columns += d's rows, each at its token's number: numbers, d.
    LookupBack(Param),
    /// out = x + the rows of a table from the chunk's first token on: x, out(w).
    Positions(Param),
    /// out = x turned by the tokens' positions, or turned back: x, out(w).
    Rotary {
        /// What is turned.
        rotary: Rotary,
        /// Whether it is turned back, as a gradient is.
        back: bool,
    },
    /// The table's rows += the sums of d over the prompts: d.
    PositionsBack(Param),
    /// An operation for which there is no kernel, by its form on slices or its meaning: its inputs that have rows, its results(w).
    Island(IslandOf),
    /// Its gradient: its inputs that have rows, the gradient with respect to each result, that with respect to each wanted input(w).
    IslandBack(IslandOf),
    /// out += x: x, out(w).
    Add,
    /// out = x: x, out(w).
    Copy,
    /// out = a number: out(w).
    Fill(f32),
    /// out = x at the tokens `from..to`, counted from the chunk's first, and a number elsewhere: x, out(w).
    Keep {
        /// The first token kept.
        from: usize,
        /// The first token after them.
        to: usize,
        /// What the others are filled with.
        lost: f32,
    },
    /// Fills with 0 all but the tokens `from..to`: d(w).
    Lose {
        /// The first token kept.
        from: usize,
        /// The first token after them.
        to: usize,
    },
    /// The read rows of x: x, out(w).
    Gather,
    /// The read rows of out are x, or have x added; without `add` the other rows become 0: x, out(w).
    Scatter {
        /// Whether out is added to.
        add: bool,
    },
}

/// A matrix that is a row which is the same for all prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowMatrix {
    /// The row.
    pub row: Shared,
    /// Rows of the matrix.
    pub out: usize,
    /// Its columns.
    pub inputs: usize,
}

/// The numbers of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanOf {
    /// decay, gain and read, (states, width) each, and skip, (width).
    pub system: [Shared; 4],
    /// States of all channels together.
    pub states: usize,
    /// Channels.
    pub width: usize,
    /// Whether there are earlier tokens.
    pub prefix: bool,
}

/// An operation that is run by its form on slices, or by its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IslandOf {
    /// The node.
    pub node: NodeId,
    /// Its inputs that are one row for all prompts; `None` for one with rows of its own.
    pub inputs: Vec<Option<Shared>>,
    /// Backward: whether the gradient with respect to each result is there.
    pub given: Vec<bool>,
    /// Backward: for each input, whether its gradient is wanted.
    pub wanted: Vec<bool>,
    /// Backward: for each wanted input with rows, whether its gradient is added to.
    pub add: Vec<bool>,
}

/// A recurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecurOf {
    /// Which node it is; engines keep their plans by it.
    pub node: NodeId,
    /// Which of its states are read, or, backward, have a gradient.
    pub read: Vec<usize>,
    /// Whether there are earlier tokens.
    pub prefix: bool,
    /// Whether dx is added to, going backward.
    pub add: bool,
}

/// Floats that an engine's recurrence takes beside its input and results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecurRoom {
    /// What its forward pass leaves for its backward pass.
    pub tape: usize,
    /// What either needs for itself.
    pub scratch: usize,
}

/// What an engine tells of itself before steps are written for it.
pub trait Engine {
    /// The room that a recurrence takes over so many prompts and tokens, after earlier ones or not.
    ///
    /// # Errors
    /// If there is something in its cell for which the engine has no kernel: what it is, and where.
    fn recur(&self, node: NodeId, sequences: usize, tokens: usize, prefix: bool) -> Result<RecurRoom, &str>;

    /// Whether what this form computes is kept for the way back though it is cheap: where memory is plenty and each step costs time of its
    /// own. Elementwise programs have the form of their last function.
    fn keeps(&self, _: Form<'_>) -> bool {
        false
    }

    /// Whether attention's gradient is computed from its result too: [`Kernel::AttentionBack`] then has it as one more place.
    fn attention_reads_result(&self) -> bool {
        false
    }
}

/// An elementwise program as a step.
#[derive(Clone, Debug)]
pub struct PointOf {
    /// Its number among those of a [`Program`]; engines keep what they make of it by this.
    pub id: usize,
    /// What it computes.
    pub program: Arc<PointProgram>,
    /// Numbers in a row.
    pub width: usize,
    /// Whether it computes gradients.
    pub is_gradient: bool,
    /// Where its inputs lie.
    pub inputs: Vec<Strided>,
    /// Where its results belong, and whether they are added to what is there.
    pub results: Vec<(Strided, bool)>,
}

/// Columns of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strided {
    /// The rows.
    pub at: At,
    /// The first column.
    pub column: usize,
    /// Numbers from a row to the next; 0 if one row stands for all.
    pub stride: usize,
}

/// Where the rows of an elementwise program's operand lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At one of the step's places.
    Place(usize),
    /// One row for all prompts.
    Shared(Shared),
    /// The gradient with respect to such a row.
    Gradient(Shared),
}

/// One kernel on its places.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it does.
    pub kernel: Kernel,
    /// The node that it belongs to, for errors and tables.
    pub node: NodeId,
    /// What it reads and writes, in the kernel's order.
    pub places: Vec<Place>,
}
