//! Operations of one's own, from their text in CUDA C: the kernels around it, and their launches for rows of tokens.

use std::fmt::Write;

use looped_gpu::calls::Given;
use looped_gpu::{Result, Span};
use looped_graph::lower::{IslandOf, Shared};
use looped_graph::ops::CudaText;
use looped_graph::{Form, Graph, NodeId, Op, Reach, Rows, Shape};

use crate::emit::{Emit, Here, clear, is_by_loop};

/// Threads of the block that takes a row.
const THREADS: usize = 256;

/// The text of a custom operation, if a node is one that has it.
pub(crate) fn text_of(graph: &Graph, node: NodeId) -> Option<CudaText> {
    match graph.node(node).op().map(Op::form)? {
        Form::Custom(custom) if custom.reach() == Reach::Own => custom.cuda(),
        _ => None,
    }
}

/// The name of the kernel for a node's operation.
pub(crate) fn name(node: NodeId, back: bool) -> String {
    format!("custom_{}{}", node.index(), if back { "_back" } else { "" })
}

/// The text of the kernels for all such operations of a graph.
pub(crate) fn texts(graph: &Graph) -> String {
    let mut text = String::new();
    for node in graph.ids() {
        if let Some(CudaText { forward, backward }) = text_of(graph, node) {
            // Writing to a string can't fail.
            let _ = write_kernel(&mut text, graph, node, false, forward);
            let _ = write_kernel(&mut text, graph, node, true, backward);
        }
    }
    text
}

/// The kernel around a body of an operation: a block has a row, and the body finds its numbers by name.
fn write_kernel(text: &mut String, graph: &Graph, node: NodeId, back: bool, body: &str) -> std::fmt::Result {
    let (mut parameters, mut begin) = (Vec::new(), String::new());
    let mut give = |name: String, width: usize, each_row: bool, written: bool| {
        let kind = if written { "float*" } else { "const float*" };
        let row = if each_row { "static_cast<size_t>(blockIdx.x)" } else { "0" };
        parameters.push(format!("{kind} all_{name}"));
        writeln!(begin, "  {kind} {name} = all_{name} + {row} * {width};")
    };
    let of = graph.node(node);
    let inputs: Vec<Shape> = of.inputs.iter().map(|wire| graph.shape(*wire)).collect();
    for (i, shape) in inputs.iter().enumerate() {
        give(format!("in_{i}"), shape.width, shape.rows != Rows::Once, false)?;
    }
    let results = if back { "dout" } else { "out" };
    for (i, shape) in of.shapes.iter().enumerate() {
        give(format!("{results}_{i}"), shape.width, shape.rows != Rows::Once, !back)?;
    }
    for (i, shape) in inputs.iter().enumerate().filter(|_| back) {
        // What is one row for all prompts gets a row of partial sums for each row.
        give(format!("din_{i}"), shape.width, true, true)?;
    }
    writeln!(text, "\nKERNEL({THREADS}) {}({}) {{", name(node, back), parameters.join(", "))?;
    write!(text, "  enum {{ threads = {THREADS}")?;
    for (kind, shapes) in [("in", &inputs), ("out", &of.shapes)] {
        for (i, shape) in shapes.iter().enumerate() {
            write!(text, ", width_{kind}_{i} = {}", shape.width)?;
        }
    }
    writeln!(text, " }};\n  const int thread = threadIdx.x;\n{begin}  {{\n{body}\n  }}\n}}")
}

impl Emit<'_> {
    /// An operation of one's own on rows of tokens.
    pub(crate) fn island(&mut self, here: Here<'_>, of: &IslandOf) -> Result<()> {
        let (inputs, results) = self.island_inputs(here, of);
        let results: Vec<Span> =
            here.of().places[results..].iter().map(|place| self.places.at(*place, here.run.slot)).collect();
        let rows = self.rows_of_island(of, &inputs, &results);
        let given =
            inputs.into_iter().map(Given::Read).chain(results.into_iter().map(Given::Write)).collect();
        self.launch_custom(of.node, false, rows, given)
    }

    /// And back.
    pub(crate) fn island_back(&mut self, here: Here<'_>, of: &IslandOf) -> Result<()> {
        let (inputs, first) = self.island_inputs(here, of);
        let others: Vec<Span> =
            here.of().places[first..].iter().map(|place| self.places.at(*place, here.run.slot)).collect();
        let mut places = others.into_iter();
        let known: Vec<Option<Span>> =
            of.given.iter().map(|given| if *given { places.next() } else { None }).collect();
        let some: Vec<Span> = known.iter().flatten().copied().collect();
        let rows = self.rows_of_island(of, &inputs, &some);
        let mut given: Vec<Given> = inputs.iter().copied().map(Given::Read).collect();
        for (output, slope) in known.into_iter().enumerate() {
            let width = self.graph.node(of.node).shapes[output].width;
            let slope = slope.unwrap_or_else(|| self.nothing("a slope that nobody has", rows * width));
            given.push(Given::Read(slope));
        }
        let mut adds = of.add.iter();
        for (which, shared) in of.inputs.iter().enumerate() {
            let width = self.graph.shape(self.graph.node(of.node).inputs[which]).width;
            let goal = match shared {
                _ if !of.wanted[which] => self.nothing("a gradient that nobody wants", rows * width),
                Some(shared) => self.partial_rows(here, which, *shared, [rows, width]),
                None => {
                    let goal = places
                        .next()
                        .unwrap_or_else(|| self.nothing("a gradient without a place", rows * width));
                    if !adds.next().copied().unwrap_or(false) {
                        self.push(clear(goal));
                    }
                    goal
                }
            };
            given.push(Given::Write(goal));
        }
        self.launch_custom(of.node, true, rows, given)
    }

    /// Launches the kernel of a custom operation.
    pub(crate) fn launch_custom(
        &mut self,
        node: NodeId,
        back: bool,
        rows: usize,
        given: Vec<Given>,
    ) -> Result<()> {
        let Some(own) = self.own.as_ref().filter(|_| rows > 0) else { return Ok(()) };
        let operation = own.launch(&name(node, back), [rows, 1], &given)?;
        self.push(operation);
        Ok(())
    }

    /// Where an operation's inputs lie, and how many of its places are inputs.
    fn island_inputs(&self, here: Here<'_>, of: &IslandOf) -> (Vec<Span>, usize) {
        let mut places = here.of().places.iter();
        let inputs = of.inputs.iter().filter_map(|shared| match shared {
            Some(shared) => Some(self.shared(*shared, here.run.index).values),
            None => places.next().map(|place| self.places.at(*place, here.run.slot)),
        });
        (inputs.collect(), of.inputs.iter().filter(|shared| shared.is_none()).count())
    }

    /// Rows of tokens, from what each has of its own.
    fn rows_of_island(&self, of: &IslandOf, inputs: &[Span], results: &[Span]) -> usize {
        let node = self.graph.node(of.node);
        let own = of.inputs.iter().zip(inputs).zip(&node.inputs).find(|((shared, _), _)| shared.is_none());
        match (own, results.first()) {
            (Some(((_, span), wire)), _) => span.len() / self.graph.shape(*wire).width.max(1),
            (None, Some(span)) => span.len() / node.shapes[0].width.max(1),
            (None, None) => 0,
        }
    }

    /// Room for the partial sums of a gradient, all 0: a row for each row.
    fn partial_rows(&mut self, here: Here<'_>, which: usize, shared: Shared, shape: [usize; 2]) -> Span {
        let goal = self.shared(shared, here.run.index).grads;
        let own = is_by_loop(shared).then_some(here.run.index);
        let key = (here.list(), here.step, which, own);
        let partial = self.sum(here, key, shape, &[(0, goal)]);
        self.push(clear(partial));
        partial
    }

    /// Floats that are 0.
    fn nothing(&mut self, what: &'static str, len: usize) -> Span {
        let room = self.room(what, len);
        self.push(clear(room));
        room
    }
}
