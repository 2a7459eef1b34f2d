//! Rows that are computed of parameters alone, the same for all prompts: on the GPU, at the beginning of a step; their gradients are carried on
//! to the parameters at its end.
//!
//! So parameters can stay on the GPU from step to step. Where an operation of one's own without CUDA text is among these
//! operations, or each loop has rows of its own, the host computes all of them before each step, as the CPU engine does.

use looped_gpu::Result;
use looped_gpu::calls::Given;
use looped_graph::lower::{Once, Program};
use looped_graph::{Form, Graph, Instruction, Op, PointProgram, Wire};

use crate::custom;
use crate::emit::Emit;
use crate::places::Row;
use crate::point::{Goal, Read, Text, arguments, grid_of};

/// One operation on rows.
enum Code {
    /// As elementwise code, forward and back.
    Point {
        program: PointProgram,
        back: PointProgram,
        /// The first column that is read of the operation's inputs, and how many there are.
        columns: [usize; 2],
    },
    /// From its author's text.
    Custom,
}

/// What a graph computes of parameters alone, if it can be done here.
pub(crate) fn operations(graph: &Graph) -> Option<Vec<Once>> {
    let all = Program::once_a_step(graph);
    let here = Program::once_a_loop(graph).is_empty() && all.iter().all(|once| code(graph, once).is_some());
    here.then_some(all)
}

fn code(graph: &Graph, once: &Once) -> Option<Code> {
    let node = graph.node(once.node);
    let width = node.shapes[0].width;
    match node.op().map(Op::form)? {
        Form::Point(func) => {
            let (program, wanted) = (PointProgram::of(func), (0..func.arity()).collect::<Vec<_>>());
            Some(Code::Point { back: program.gradient(&wanted, &[]), program, columns: [0, width] })
        }
        Form::Columns(columns) => {
            let copy = |input| {
                let code = vec![Instruction::Input(input)];
                PointProgram { inputs: input + 1, code, results: vec![0] }
            };
            // Going back, the gradient with respect to the columns stands behind the input.
            Some(Code::Point { program: copy(0), back: copy(1), columns: [columns.start, width] })
        }
        // Of one row that is read twice the gradients would be added by threads that don't know of one another.
        Form::Custom(_) => {
            let twice = (1..node.inputs.len()).any(|i| node.inputs[..i].contains(&node.inputs[i]));
            (!twice && custom::text_of(graph, once.node).is_some()).then_some(Code::Custom)
        }
        _ => None,
    }
}

fn name(once: &Once, back: bool) -> String {
    format!("once_{}{}", once.node.index(), if back { "_back" } else { "" })
}

/// The text of the kernels for them.
pub(crate) fn texts(graph: &Graph) -> String {
    let mut text = String::new();
    for once in operations(graph).unwrap_or_default() {
        let Some(Code::Point { program, back, columns: [column, width] }) = code(graph, &once) else {
            continue;
        };
        let inputs = graph.node(once.node).inputs.len();
        let read = |column| Some(Read { stride: 0, column, with_more: false });
        let given = vec![read(column); inputs];
        let goal = |column, add| move |&reg: &usize| (reg, Goal::Rows { stride: 0, column, add, low: false });
        let results = program.results.iter().map(goal(0, false)).collect();
        let forward =
            Text { name: name(&once, false), width, program: &program, inputs: given.clone(), results };
        forward.write(&mut text);
        let inputs = given.into_iter().chain([read(0)]).collect();
        let results = back.results.iter().map(goal(column, true)).collect();
        Text { name: name(&once, true), width, program: &back, inputs, results }.write(&mut text);
    }
    text
}

impl Emit<'_> {
    /// Computes the rows of the parameters, if that is done here.
    pub(crate) fn once_forward(&mut self) -> Result<()> {
        for once in operations(self.graph).unwrap_or_default() {
            let [inputs, results] = self.rows_of(&once);
            let inputs = inputs.iter().map(|row| Given::Read(row.values)).collect();
            let results = results.iter().map(|row| Given::Write(row.values)).collect();
            self.once(&once, false, inputs, results)?;
        }
        Ok(())
    }

    /// Carries the gradients with respect to the rows on to the parameters'.
    pub(crate) fn once_backward(&mut self) -> Result<()> {
        for once in operations(self.graph).unwrap_or_default().into_iter().rev() {
            let [inputs, results] = self.rows_of(&once);
            let given = inputs.iter().map(|row| row.values).chain(results.iter().map(|row| row.grads));
            let given = given.map(Given::Read).collect();
            let goals = inputs.iter().map(|row| Given::Write(row.grads)).collect();
            self.once(&once, true, given, goals)?;
        }
        Ok(())
    }

    fn once(&mut self, once: &Once, back: bool, inputs: Vec<Given>, results: Vec<Given>) -> Result<()> {
        if let Some(Code::Custom) = code(self.graph, once) {
            return self.launch_custom(once.node, back, 1, inputs.into_iter().chain(results).collect());
        }
        let width = self.graph.node(once.node).shapes[0].width;
        let Some(own) = &self.own else { return Ok(()) };
        let operation = own.launch(&name(once, back), grid_of(width, 1), &arguments(inputs, results, 1))?;
        self.push(operation);
        Ok(())
    }

    /// Where an operation's inputs and results lie.
    fn rows_of(&self, once: &Once) -> [Vec<Row>; 2] {
        let shared = Program::shared(self.graph);
        // Whatever is one row for all prompts has its place.
        let row = |wire: &Wire| shared.get(wire).map(|row| self.places.row(self.flat.shared(*row, 0)));
        let results = (0..once.results.len()).map(|output| Wire { node: once.node, output });
        [
            self.graph.node(once.node).inputs.iter().filter_map(row).collect(),
            results.filter_map(|wire| row(&wire)).collect(),
        ]
    }
}
