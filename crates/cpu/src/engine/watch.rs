//! Values that someone looks at, after each loop.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use looped_core::{Error, ParamStore, Prompts, Result};
use looped_graph::Wire;
use looped_graph::lower::{Program, Shapes};
use looped_ops::Precision;

use super::{CpuModel, Memory, least_sequences, stopped, tokens_of};
use crate::chunks::chunks;
use crate::point::Compiled;
use crate::worker::Job;

impl CpuModel {
    /// What some values of the graph are after each loop over `prompts`, as the state, or what
    /// [`Graph::probed`](looped_graph::Graph::probed) finds by its name; they must have a row for each token.
    ///
    /// # Shapes
    /// Each (loops, prompts, tokens, width of the value).
    ///
    /// # Errors
    /// If the parameters or the prompts don't fit the model, or a value has no row for each token.
    pub fn watch(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        loops: usize,
        wires: &[Wire],
    ) -> Result<Vec<Vec<f32>>> {
        self.check(prompts)?;
        let (parameters, mut memory) = (store.values(), self.memory());
        let Memory { flat, packed, workers, .. } = &mut *memory;
        let weights = self.weights(&parameters, (flat, packed), Precision::F32, false, loops)?;
        let (tokens, reads) = tokens_of(prompts.layout, prompts.points);
        let threads = self.threads.current_num_threads();
        let chunks = chunks(prompts.prompts, [0, tokens], least_sequences(&self.graph), threads);
        let mut programs = HashMap::new();
        for sequences in chunks.iter().map(ExactSizeIterator::len) {
            let shapes = Shapes { sequences, tokens, reads: reads.clone(), apart: self.hunt.apart };
            let program = Program::watching(&self.graph, &shapes, &self.plans, wires).map_err(Error::Data)?;
            programs.entry(sequences).or_insert_with(|| Compiled::new(program));
        }
        // Numbers of one prompt in one loop.
        let each: Vec<usize> = wires.iter().map(|wire| tokens * self.graph.shape(*wire).width).collect();
        let room = |each: &usize| vec![0.0; loops * prompts.prompts * each];
        let values: Mutex<Vec<Vec<f32>>> = Mutex::new(each.iter().map(room).collect());
        let job = Job { weights: &weights, plans: &self.plans, prompts };
        self.spread(workers, &chunks, |worker, own| {
            worker.begin(self.hunt);
            for range in own {
                let first = range.start;
                worker.watch(job, &programs[&range.len()], range, loops, |index, which, rows| {
                    let start = (index * prompts.prompts + first) * each[which];
                    let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
                    values[which][start..start + rows.len()].copy_from_slice(rows);
                });
            }
        });
        stopped(workers)?;
        Ok(values.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}
