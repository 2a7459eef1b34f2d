//! The parts of a step, ready to be run one at a time; each is a captured graph from its second run on.

use std::collections::HashMap;

use looped_gpu::{Graph as Captured, Math, Program as Ready};
use looped_graph::lower::{Program, Shapes};

use crate::segments::{Part, Room, Segments};

/// What the parts of a step were put together for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) shapes: Shapes,
    pub(crate) math: Math,
    pub(crate) room: Room,
}

/// The parts of a step, ready to be run.
pub(crate) struct Parted {
    pub(crate) lowered: Program,
    pub(crate) segments: Segments,
    pub(crate) program: Ready,
    /// How often a part was run, and its graph from the second time on.
    pub(crate) graphs: HashMap<Part, Option<Captured>>,
}

impl Parted {
    /// Runs a part. The first time it runs operation after operation, since libraries load what they need then; later as a graph.
    pub(crate) fn run(&mut self, part: Part) -> looped_gpu::Result<()> {
        let Some(range) = self.segments.range(part) else { return Ok(()) };
        let Some(graph) = self.graphs.get_mut(&part) else {
            self.graphs.insert(part, None);
            return self.program.run_part(range);
        };
        if graph.is_none() {
            *graph = Some(self.program.capture(range)?);
        }
        graph.as_ref().map_or(Ok(()), Captured::replay)
    }
}
