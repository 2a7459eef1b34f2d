//! What the engine will ask of a GPU, without a GPU: memory, operations, and the text of kernels.

use std::collections::BTreeMap;

use looped_core::{Error, Policy, Prompts, Result};
use looped_cpu::engines::{Layout, Loops};
use looped_graph::Graph;
use looped_graph::lower::Program;

use crate::cells::Cells;
use crate::model::{ROWS, Step, told};
use crate::segments::{Room, Segments};
use crate::shape::PromptShape;
use crate::stage::{Of, Stage};
use crate::{CudaModel, Math};

/// Bytes that the engine takes at once, whatever it computes: where products are worked out.
pub const ALWAYS: usize = looped_gpu::WORKSPACE;

/// Loops of a kind after which the next is like the last: those at the ends are joined with what comes before and after them.
const FEW: usize = 3;

/// What a step or predictions take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuUse {
    /// Bytes of memory, besides [`ALWAYS`].
    pub bytes: usize,
    /// Operations that are asked of the GPU: kernels, products and fills.
    pub operations: usize,
}

impl PromptShape {
    /// What a training step takes. Steps in which the GPU updates the parameters take a kilobyte more.
    ///
    /// # Errors
    /// If the engine can't take the graph, or no loop enters the loss.
    pub fn training(self, graph: &Graph, step: Step) -> Result<GpuUse> {
        let loops = loops(step)?;
        self.stage(graph, step.math, |of| Stage::training(of, loops, true)).map(GpuUse::of)
    }

    /// How many operations a training step asks of the GPU. Of many loops a few are put together: each further one adds as many.
    ///
    /// # Errors
    /// As [`PromptShape::training`].
    pub fn operations(self, graph: &Graph, step: Step) -> Result<usize> {
        let whole = loops(step)?;
        // The three kinds of loops: without gradient, with it, and those of the last that enter the loss.
        let kinds = [whole.free, whole.window - whole.counted, whole.counted];
        let few = kinds.map(|loops| loops.min(FEW));
        let count = |[free, uncounted, counted]: [usize; 3]| {
            let loops = Loops { free, window: uncounted + counted, counted, ..whole };
            self.stage(graph, step.math, |of| Stage::training(of, loops, true))
                .map(|stage| stage.operations.len())
        };
        let base = count(few)?;
        let mut operations = base;
        for (kind, more) in kinds.iter().zip(few).map(|(all, few)| all - few).enumerate() {
            if more > 0 {
                let mut longer = few;
                longer[kind] += 1;
                operations += more * (count(longer)? - base);
            }
        }
        Ok(operations)
    }

    /// The bytes that a training step takes whose way through the loops is the policy's ([`CudaModel::run`]), besides [`ALWAYS`].
    ///
    /// # Errors
    /// If the engine can't take the graph.
    pub fn through(self, graph: &Graph, policy: &dyn Policy, math: Math) -> Result<usize> {
        let room = Room { slots: policy.slots().0, loops: policy.loops() };
        self.stage(graph, math, |of| Segments::of(of, room)).map(|segments| segments.bytes)
    }

    /// What predictions after each of so many loops take.
    ///
    /// # Errors
    /// If the engine can't take the graph.
    pub fn predicting(self, graph: &Graph, loops: usize, math: Math) -> Result<GpuUse> {
        let tokens = self.layout.tokens(self.points).max(1);
        let prompts = self.prompts.min((ROWS / tokens).max(1));
        Self { prompts, ..self }.stage(graph, math, |of| Stage::predicting(of, loops)).map(GpuUse::of)
    }

    /// What `stage` makes of the model, translated for these prompts.
    fn stage<T>(
        self,
        graph: &Graph,
        math: Math,
        stage: impl FnOnce(Of<'_>) -> looped_gpu::Result<T>,
    ) -> Result<T> {
        let refusals = CudaModel::refusals(graph);
        if !refusals.is_empty() {
            return Err(Error::Data(refusals.join("\n")));
        }
        let (flat, shapes, cells) = (Layout::new(graph), self.shapes(), Cells::new(graph));
        let program = Program::new(graph, &shapes, &cells).map_err(Error::Data)?;
        let of = Of { graph, flat: &flat, math, program: &program, cells: &cells, tokens: shapes.tokens };
        stage(of).map_err(told)
    }
}

impl GpuUse {
    fn of(stage: Stage) -> Self {
        Self { bytes: stage.bytes, operations: stage.operations.len() }
    }
}

/// The loops of a step, whose losses may have any weight here.
fn loops(step: Step) -> Result<Loops> {
    let [window, counted] = step.plan.counted(step.loss_loops)?;
    Ok(Loops { free: step.plan.loops - window, window, counted, objective: step.objective, weight: 1.0 })
}

/// What a training step on prompts of this kind takes: each kind of operation with how often it runs, and the bytes of memory.
///
/// # Errors
/// If the engine can't take the graph, or no loop enters the loss.
pub fn plan(graph: &Graph, prompts: &Prompts, step: Step) -> Result<(BTreeMap<String, usize>, usize)> {
    let loops = loops(step)?;
    let stage = PromptShape::of(prompts).stage(graph, step.math, |of| Stage::training(of, loops, false))?;
    let mut counts = BTreeMap::new();
    stage.operations.iter().for_each(|operation| *counts.entry(operation.name()).or_insert(0) += 1);
    Ok((counts, stage.bytes))
}

/// The source of the kernels that are written for a graph: its elementwise programs and its recurrences' cells. Empty if there are none.
///
/// # Errors
/// If the engine can't take the graph.
pub fn text(graph: &Graph, prompts: &Prompts, math: Math) -> Result<String> {
    let kernels = PromptShape::of(prompts).stage(graph, math, |of| Ok(of.kernels()))?;
    Ok(kernels.map_or_else(String::new, |own| own.text()))
}
