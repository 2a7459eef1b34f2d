//! How much of a GPU's memory the engine takes, without a GPU: the lengths of what it will ask for.

use looped_core::{Error, LoopPlan, Result, TokenLayout};
use looped_cpu::engines::{Layout, Loops};
use looped_graph::Graph;
use looped_graph::lower::{Program, Shapes};

use crate::cells::Cells;
use crate::model::{ROWS, Step, told};
use crate::stage::{Of, Stage};
use crate::{CudaModel, Math};

/// The largest prompts that the engine will be given at a time.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Prompts.
    pub prompts: usize,
    /// How points become tokens.
    pub layout: TokenLayout,
    /// Points in each.
    pub points: usize,
}

/// Bytes that the engine takes at once, whatever it computes: where products are worked out.
pub const ALWAYS: usize = looped_gpu::WORKSPACE;

/// What a step or predictions take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of memory, besides [`ALWAYS`].
    pub bytes: usize,
    /// Operations that are asked of the GPU: kernels, products and fills.
    pub operations: usize,
}

impl Work {
    fn shapes(self) -> Shapes {
        let Self { prompts, layout, points } = self;
        Shapes {
            sequences: prompts,
            tokens: layout.tokens(points),
            reads: layout.reads(points).into(),
            apart: false,
        }
    }

    /// What a training step takes. Steps in which the GPU updates the parameters take a kilobyte more.
    ///
    /// # Errors
    /// If the engine can't take the graph, or no loop enters the loss.
    pub fn training(self, graph: &Graph, step: Step) -> Result<Footprint> {
        let Step { plan: LoopPlan { loops, window }, loss_loops, objective, math } = step;
        let window = window.min(loops);
        let counted = loss_loops.min(window);
        if counted == 0 {
            return Err(Error::Data("no loop enters the loss".to_owned()));
        }
        let loops = Loops { free: loops - window, window, counted, objective, weight: 1.0 };
        self.of(graph, math, |of| Stage::training(of, loops, true))
    }

    /// What predictions after each of so many loops take.
    ///
    /// # Errors
    /// If the engine can't take the graph.
    pub fn predicting(self, graph: &Graph, loops: usize, math: Math) -> Result<Footprint> {
        let tokens = self.layout.tokens(self.points).max(1);
        let prompts = self.prompts.min((ROWS / tokens).max(1));
        Self { prompts, ..self }.of(graph, math, |of| Stage::predicting(of, loops))
    }

    fn of(
        self,
        graph: &Graph,
        math: Math,
        stage: impl FnOnce(Of<'_>) -> looped_gpu::Result<Stage>,
    ) -> Result<Footprint> {
        let refusals = CudaModel::refusals(graph);
        if !refusals.is_empty() {
            return Err(Error::Data(refusals.join("\n")));
        }
        let (flat, shapes, cells) = (Layout::new(graph), self.shapes(), Cells::new(graph));
        let program = Program::new(graph, &shapes, &cells).map_err(Error::Data)?;
        let of = Of { graph, flat: &flat, math, program: &program, cells: &cells, tokens: shapes.tokens };
        let stage = stage(of).map_err(told)?;
        Ok(Footprint { bytes: stage.bytes, operations: stage.operations.len() })
    }
}
