//! The loops of a training step, run one at a time as its policy asks: as the CPU engine does for each chunk of prompts, here for all prompts
//! at once.
//!
//! A loop is one captured graph. The state, the gradient with respect to it and the predictions are copied to the host where a policy looks at
//! them; losses are computed there.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use looped_core::{Body, Error, Found, Joint, Objective, ParamStore, Policy, Prompts, Result, Share};
use looped_cpu::engines::{LossOf, check};
use looped_gpu::{Arena, Math, Options, Program as Ready};
use looped_graph::Graph;
use looped_graph::lower::{Chunk, Looped, Place};

use crate::batch;
use crate::model::{CudaModel, Memory, Prepared, lost, shapes, told};
use crate::parted::{Asked, Parted};
use crate::segments::{Part, Room, Segments, Way};

/// Steps of so many kinds are kept.
const KEPT: usize = 8;

impl CudaModel {
    /// The loss of a training step on `prompts`, whose way through the loops is the policy's, and its gradient for every parameter of `store`.
    ///
    /// # Errors
    /// As [`CudaModel::step`].
    pub fn run(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        (objective, math): (Objective, Math),
        policy: &dyn Policy,
    ) -> Result<Found> {
        check(prompts, self.dims)?;
        prompts.fit_vocabularies(&self.graph)?;
        let of = LossOf::new(objective, prompts)?;
        // Else one step is as good for any number of loops.
        let loops = if self.has_by_loop() { policy.loops() } else { 0 };
        let mut memory = self.memory();
        memory.refuse_held()?;
        let room = Room { slots: policy.slots().0, loops };
        let arena = self.part(&mut memory, Asked { shapes: shapes(prompts), math, room })?;
        let Some((_, parted)) = memory.parted.last_mut() else { return Err(lost()) };
        let each_loop = parted.segments.places.each_loop;
        let rows = self.write_parameters(&arena, store, each_loop, loops)?;
        let mut body = WholeBody::new(&self.graph, parted, arena.clone(), prompts, of);
        body.run(Part::Begin);
        body.begin_early();
        let mut loss = policy.run(&mut body);
        loss += body.end_early();
        body.run(Part::End);
        let WholeBody { fault, notes, .. } = body;
        fault.map_or(Ok(()), Err)?;
        let gradients = self.read_gradients(&arena, rows, each_loop, loops)?;
        let notes = notes.into_iter().map(|(what, sum)| (what, sum / prompts.prompts as f64)).collect();
        Ok(Found { loss, gradients, notes })
    }

    /// The parts of a step, in the last place of those that are known.
    fn part(&self, memory: &mut Memory, asked: Asked) -> Result<Arena> {
        let found = memory.parted.iter().position(|(known, _)| *known == asked);
        let last = found.is_some_and(|found| found + 1 == memory.parted.len());
        let prepared = last && memory.prepared == Some(Prepared::Parted);
        memory.prepared = None;
        if let Some(found) = found {
            let found = memory.parted.remove(found);
            memory.parted.push(found);
        } else {
            let lowered = self.lowered(&asked.shapes)?;
            let of = self.of(&lowered, &asked.shapes, asked.math);
            let segments = Segments::of(of, asked.room).map_err(told)?;
            let arena = self.arena_of(memory, segments.bytes)?;
            let program = Ready::new(&arena, &segments.operations, Options::default()).map_err(told)?;
            if memory.parted.len() >= KEPT {
                memory.parted.remove(0);
            }
            memory.parted.push((asked, Parted { lowered, segments, program, graphs: HashMap::new() }));
        }
        let (Some(arena), Some((_, parted))) = (memory.arena.clone(), memory.parted.last()) else {
            return Err(lost());
        };
        // Else others have used the memory meanwhile.
        if !prepared {
            parted.segments.constants.iter().try_for_each(|constant| constant.write(&arena)).map_err(told)?;
        }
        memory.prepared = Some(Prepared::Parted);
        Ok(arena)
    }
}

/// A loop that was kept.
struct Kept {
    index: usize,
    last: bool,
    /// Whether predictions were read after it, whose gradient is still to come.
    read: bool,
    /// That gradient, where it had to come before the state was changed.
    slope: Option<Vec<f32>>,
}

/// The loops over all prompts of a step.
///
/// The state lies at the head of a slot: a loop that is kept leaves the next one at the head of the slot after it. After a failure nothing is
/// done any more; it is told when the policy ends.
struct WholeBody<'m> {
    graph: &'m Graph,
    parted: &'m mut Parted,
    arena: Arena,
    prompts: &'m Prompts,
    of: LossOf,
    notes: BTreeMap<&'static str, f64>,
    /// The slot whose head the state lies at.
    slot: usize,
    /// Loops done.
    index: usize,
    /// Of each slot in use.
    kept: Vec<Kept>,
    to_first_state: bool,
    /// How much each loop's predictions counted, in order, and how often in a row.
    shares: Vec<(Share, usize)>,
    /// The loss of the early tokens' predictions that are read together, whose slopes lie where they belong.
    early_joint: f64,
    fault: Option<Error>,
}

impl<'m> WholeBody<'m> {
    fn new(graph: &'m Graph, parted: &'m mut Parted, arena: Arena, prompts: &'m Prompts, of: LossOf) -> Self {
        Self {
            graph,
            parted,
            arena,
            prompts,
            of,
            notes: BTreeMap::new(),
            slot: 0,
            index: 0,
            kept: Vec::new(),
            to_first_state: false,
            shares: Vec::new(),
            early_joint: 0.0,
            fault: None,
        }
    }

    fn run(&mut self, part: Part) {
        if self.fault.is_none() {
            self.fault = self.parted.run(part).map_err(told).err();
        }
    }

    /// A part of a loop, with what that loop has of its own; going backward, its gradient too.
    fn run_in(&mut self, index: usize, part: Part, gives: bool) {
        self.run(Part::Fetch(index));
        self.run(part);
        if gives {
            self.run(Part::Give(index));
        }
    }

    fn get(&mut self, place: Place, slot: usize) -> Vec<f32> {
        let span = self.parted.segments.places.at(place, slot);
        if self.fault.is_none() && span.len() > 0 {
            match self.arena.read_floats(span).map_err(told) {
                Ok(values) => return values,
                Err(fault) => self.fault = Some(fault),
            }
        }
        vec![0.0; span.len()]
    }

    fn set(&mut self, place: Place, slot: usize, values: &[f32]) {
        let span = self.parted.segments.places.at(place, slot);
        if self.fault.is_none() && span.len() > 0 {
            self.fault = self.arena.write_floats(span, values).map_err(told).err();
        }
    }

    fn add(&mut self, place: Place, slot: usize, more: &[f32]) {
        let mut sum = self.get(place, slot);
        sum.iter_mut().zip(more).for_each(|(sum, own)| *sum += own);
        self.set(place, slot, &sum);
    }

    fn looped(&self) -> Option<&Looped> {
        self.parted.lowered.looped.as_ref()
    }

    /// The places of the state, of the gradient with respect to it, of the predictions and of the gradients with respect to those.
    fn at(&self) -> Option<[Place; 4]> {
        self.looped().map(|of| [of.state, of.dstate, of.predictions, of.slopes])
    }

    fn begin_early(&mut self) {
        let Some(early) = &self.parted.lowered.early else { return };
        let (chunk, input) = (early.chunk.clone(), early.input);
        self.set(input, 0, &batch::tokens(self.prompts, &chunk, self.graph));
        self.run(Part::Early(Way::Forward));
    }

    /// The loss of the early tokens' predictions, which count as often as predictions were read; then they are run backward.
    fn end_early(&mut self) -> f64 {
        let Some(early) = &self.parted.lowered.early else { return 0.0 };
        let (chunk, predictions, slopes) = (early.chunk.clone(), early.predictions, early.slopes);
        let mut loss = self.early_joint;
        if !self.shares.is_empty() {
            let counted = self.shares.iter().map(|(share, times)| self.of.weight(*share) * *times as f64);
            let factor = counted.sum();
            loss += self.loss(&chunk, factor, [predictions, slopes], 0);
        }
        self.run(Part::Early(Way::Backward));
        loss
    }

    /// The loss of the predictions at a place; the gradient with respect to them goes where it belongs.
    fn loss(&mut self, chunk: &Chunk, factor: f64, [predictions, slopes]: [Place; 2], slot: usize) -> f64 {
        let found = self.get(predictions, slot);
        let mut gradient = vec![0.0; found.len()];
        let loss = self.of.loss(self.prompts, 0, chunk, factor, &found, &mut gradient);
        self.set(slopes, slot, &gradient);
        loss
    }

    fn keep(&mut self, last: bool) -> usize {
        let (slot, index) = (self.slot, self.index);
        if self.looped().is_some() {
            let part = if last { Part::Last } else { Part::Loop };
            self.run_in(index, part(slot, Way::Forward), false);
        }
        self.kept.truncate(slot);
        self.kept.push(Kept { index, last, read: false, slope: None });
        (self.slot, self.index) = (slot + 1, index + 1);
        slot
    }

    /// Computes the predictions after a slot's loop.
    fn predict(&mut self, slot: usize) {
        self.kept[slot].read = true;
        if !self.kept[slot].last {
            self.run_in(self.kept[slot].index, Part::Read(slot, Way::Forward), false);
        }
    }

    fn count(&mut self, share: Share) {
        match self.shares.last_mut() {
            Some((before, times)) if *before == share => *times += 1,
            _ => self.shares.push((share, 1)),
        }
    }

    fn back_over_reading(&mut self, slot: usize) {
        let Kept { index, last, read, .. } = self.kept[slot];
        if read && !last {
            self.run_in(index, Part::Read(slot, Way::Backward), true);
            self.kept[slot].read = false;
        }
        if let (Some(slope), Some([_, dstate, ..])) = (self.kept[slot].slope.take(), self.at()) {
            self.add(dstate, 0, &slope);
        }
    }

    /// What was read of the present state is run backward before that is changed.
    fn before_change(&mut self) {
        let Some([_, dstate, ..]) = self.at() else { return };
        let Some(slot) = self.slot.checked_sub(1).filter(|slot| self.kept[*slot].read) else { return };
        let before = self.gradient();
        self.set(dstate, 0, &vec![0.0; before.len()]);
        self.back_over_reading(slot);
        self.kept[slot].slope = Some(self.gradient());
        self.set(dstate, 0, &before);
    }
}

impl Body for WholeBody<'_> {
    fn prompts(&self) -> Range<usize> {
        0..self.prompts.prompts
    }

    fn prompts_of_step(&self) -> usize {
        self.prompts.prompts
    }

    fn start(&mut self, to_first_state: bool) {
        (self.slot, self.index, self.to_first_state) = (0, 0, to_first_state);
        let Some(looped) = self.looped() else { return };
        let (chunk, input) = (looped.chunk.clone(), looped.input);
        self.set(input, 0, &batch::tokens(self.prompts, &chunk, self.graph));
        self.run(Part::Prelude(to_first_state, Way::Forward));
    }

    fn advance(&mut self) {
        self.run_in(self.index, Part::Free(self.slot), false);
        self.index += 1;
    }

    fn record(&mut self) -> usize {
        self.keep(false)
    }

    fn record_last(&mut self) -> usize {
        self.keep(true)
    }

    fn read(&mut self, slot: usize, share: Share) -> f64 {
        self.count(share);
        let Some(looped) = self.looped() else { return 0.0 };
        let (chunk, places) = (looped.chunk.clone(), [looped.predictions, looped.slopes]);
        self.predict(slot);
        let factor = self.of.weight(share);
        self.loss(&chunk, factor, places, slot)
    }

    fn read_together(&mut self, slots: &[usize], joint: &dyn Joint) -> f64 {
        let together = |of: LossOf, prompts, chunk: &Chunk, all: &[Vec<f32>]| {
            of.joint_loss(prompts, 0, chunk, joint, all)
        };
        if let Some(early) = &self.parted.lowered.early {
            // The same after each loop, so the slopes of all add up.
            let (chunk, predictions, goal) = (early.chunk.clone(), early.predictions, early.slopes);
            let all = vec![self.get(predictions, 0); slots.len()];
            let (loss, slopes) = together(self.of, self.prompts, &chunk, &all);
            let mut sum = vec![0.0; all.first().map_or(0, Vec::len)];
            slopes.iter().for_each(|own| sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own));
            self.set(goal, 0, &sum);
            self.early_joint += loss;
        }
        let Some(looped) = self.looped() else { return 0.0 };
        let (chunk, predictions, goal) = (looped.chunk.clone(), looped.predictions, looped.slopes);
        let mut all = Vec::with_capacity(slots.len());
        for slot in slots {
            self.predict(*slot);
            all.push(self.get(predictions, *slot));
        }
        let (loss, slopes) = together(self.of, self.prompts, &chunk, &all);
        slots.iter().zip(slopes).for_each(|(slot, slopes)| self.set(goal, *slot, &slopes));
        loss
    }

    fn backward(&mut self, slot: usize) {
        if self.looped().is_none() {
            return;
        }
        self.back_over_reading(slot);
        let Kept { index, last, .. } = self.kept[slot];
        let part = if last { Part::Last } else { Part::Loop };
        self.run_in(index, part(slot, Way::Backward), true);
    }

    fn join_loss(&mut self, slot: usize) {
        self.back_over_reading(slot);
    }

    fn backward_state(&mut self, slot: usize) {
        self.run_in(self.kept[slot].index, Part::State(slot), false);
    }

    fn rewind(&mut self, slot: usize) {
        (self.slot, self.index) = (slot, self.kept[slot].index);
    }

    fn with_state(&mut self, change: &mut dyn FnMut(&mut [f32])) {
        let Some([state, ..]) = self.at() else { return change(&mut []) };
        self.before_change();
        let mut values = self.get(state, self.slot);
        change(&mut values);
        self.set(state, self.slot, &values);
    }

    fn state(&mut self) -> Vec<f32> {
        self.at().map_or_else(Vec::new, |[state, ..]| self.get(state, self.slot))
    }

    fn with_gradient(&mut self, change: &mut dyn FnMut(&mut [f32])) {
        let Some([_, dstate, ..]) = self.at() else { return change(&mut []) };
        let mut values = self.get(dstate, 0);
        change(&mut values);
        self.set(dstate, 0, &values);
    }

    fn gradient(&mut self) -> Vec<f32> {
        self.at().map_or_else(Vec::new, |[_, dstate, ..]| self.get(dstate, 0))
    }

    fn finish(&mut self) {
        self.run(Part::Prelude(self.to_first_state, Way::Backward));
    }

    fn note(&mut self, what: &'static str, of_prompts: &[f64]) {
        *self.notes.entry(what).or_default() += of_prompts.iter().sum::<f64>();
    }
}
