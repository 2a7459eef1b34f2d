//! A chunk's loops, run one at a time as a training step's policy asks.

use std::collections::BTreeMap;
use std::ops::Range;

use looped_core::{Body, Joint, Prompts, Share};
use looped_graph::lower::{Chunk, Early, Looped, Pair, Place, Program};

use crate::plan::LossOf;
use crate::run::Run;

/// Sums over prompts of what was noted, by name.
pub(crate) type Notes = BTreeMap<&'static str, f64>;

/// The loops over the prompts of a chunk.
///
/// The state lies at the head of a slot: a loop that is kept leaves the next one at the head of the slot after it.
pub(crate) struct ChunkBody<'r, 'a> {
    run: &'r mut Run<'a>,
    program: &'a Program,
    prompts: &'a Prompts,
    range: Range<usize>,
    of: LossOf,
    notes: &'r mut Notes,
    /// What gradients with respect to parameters go to where they aren't wanted.
    waste: &'a mut [f32],
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

impl<'r, 'a> ChunkBody<'r, 'a> {
    pub(crate) fn new(
        run: &'r mut Run<'a>,
        program: &'a Program,
        (prompts, range): (&'a Prompts, Range<usize>),
        of: LossOf,
        notes: &'r mut Notes,
        waste: &'a mut [f32],
    ) -> Self {
        let (kept, shares) = (Vec::new(), Vec::new());
        Self {
            run,
            program,
            prompts,
            range,
            of,
            notes,
            waste,
            slot: 0,
            index: 0,
            kept,
            to_first_state: false,
            shares,
            early_joint: 0.0,
        }
    }

    /// Runs the early tokens forward: what the loops read of them.
    pub(crate) fn begin_early(&mut self, early: &'a Early) {
        self.run.write_tokens(self.prompts, self.range.start, &early.chunk, early.input);
        self.run.list(&early.steps.forward, &early.chunk, 0);
        for place in &early.left {
            self.run.memory.one(*place, 0).fill(0.0);
        }
    }

    /// The loss of the early tokens' predictions, which count as often as predictions were read; then they are run backward.
    pub(crate) fn end_early(&mut self, early: &'a Early) -> f64 {
        let chunk = &early.chunk;
        let mut loss = self.early_joint;
        if !self.shares.is_empty() {
            let factor =
                self.shares.iter().map(|(share, times)| self.of.weight(*share) * *times as f64).sum();
            let [predictions, slopes] = self.run.memory.at([early.predictions, early.slopes], 0);
            loss += self.of.loss(self.prompts, self.range.start, chunk, factor, predictions, slopes);
        }
        self.run.backward = true;
        self.run.list(&early.steps.backward, chunk, 0);
        loss
    }

    /// The loss of predictions after several loops, (prompts, reads, numbers) of each, and their slopes.
    fn together(&self, predictions: &[Vec<f32>], chunk: &Chunk, joint: &dyn Joint) -> (f64, Vec<Vec<f32>>) {
        self.of.joint_loss(self.prompts, self.range.start, chunk, joint, predictions)
    }

    fn looped(&self) -> Option<&'a Looped> {
        self.program.looped.as_ref()
    }

    fn prelude(&self, looped: &'a Looped) -> &'a Pair {
        if self.to_first_state { &looped.prelude_from_state } else { &looped.prelude }
    }

    fn keep(&mut self, last: bool) -> usize {
        if let Some(looped) = self.looped() {
            self.run.index = self.index;
            let steps = if last { &looped.last.forward } else { &looped.body.forward };
            self.run.list(steps, &looped.chunk, self.slot);
        }
        self.kept.truncate(self.slot);
        self.kept.push(Kept { index: self.index, last, read: false, slope: None });
        self.slot += 1;
        self.index += 1;
        self.slot - 1
    }

    /// Computes the predictions after a slot's loop.
    fn predict(&mut self, looped: &'a Looped, slot: usize) {
        self.kept[slot].read = true;
        if !self.kept[slot].last {
            self.run.index = self.kept[slot].index;
            self.run.list(&looped.read.forward, &looped.chunk, slot);
        }
    }

    fn count(&mut self, share: Share) {
        match self.shares.last_mut() {
            Some((before, times)) if *before == share => *times += 1,
            _ => self.shares.push((share, 1)),
        }
    }

    fn back_over_reading(&mut self, looped: &'a Looped, slot: usize) {
        let Kept { last, read, .. } = self.kept[slot];
        if read && !last {
            self.run.list(&looped.read.backward, &looped.chunk, slot);
            self.kept[slot].read = false;
        }
        if let Some(slope) = self.kept[slot].slope.take() {
            let sum = self.run.memory.one(looped.dstate, 0);
            sum.iter_mut().zip(slope).for_each(|(sum, own)| *sum += own);
        }
    }

    /// What was read of the present state is run backward before that is changed.
    fn before_change(&mut self, looped: &'a Looped) {
        let Some(slot) = self.slot.checked_sub(1).filter(|slot| self.kept[*slot].read) else { return };
        let way = self.run.backward;
        let before = self.gradient();
        self.run.memory.one(looped.dstate, 0).fill(0.0);
        self.run.backward = true;
        self.run.index = self.kept[slot].index;
        self.back_over_reading(looped, slot);
        self.kept[slot].slope = Some(self.gradient());
        self.run.memory.one(looped.dstate, 0).copy_from_slice(&before);
        self.run.backward = way;
    }

    fn back(&mut self, slot: usize) -> Option<&'a Looped> {
        self.run.backward = true;
        self.run.index = self.kept[slot].index;
        self.looped()
    }

    /// What gradients of all loops add up in.
    fn sums(&self, looped: &'a Looped) -> Vec<Place> {
        let early = self.program.early.iter().flat_map(|early| &early.left);
        looped.shared.iter().chain(early).copied().collect()
    }
}

impl Body for ChunkBody<'_, '_> {
    fn prompts(&self) -> Range<usize> {
        self.range.clone()
    }

    fn prompts_of_step(&self) -> usize {
        self.prompts.prompts
    }

    fn start(&mut self, to_first_state: bool) {
        (self.slot, self.index, self.to_first_state) = (0, 0, to_first_state);
        self.run.backward = false;
        let Some(looped) = self.looped() else { return };
        self.run.write_tokens(self.prompts, self.range.start, &looped.chunk, looped.input);
        self.run.list(&self.prelude(looped).forward, &looped.chunk, 0);
        for place in looped.shared.iter().chain([&looped.dstate]) {
            self.run.memory.one(*place, 0).fill(0.0);
        }
    }

    fn advance(&mut self) {
        if let Some(looped) = self.looped() {
            self.run.index = self.index;
            self.run.list(&looped.free, &looped.chunk, self.slot);
        }
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
        self.predict(looped, slot);
        let [predictions, slopes] = self.run.memory.at([looped.predictions, looped.slopes], slot);
        let factor = self.of.weight(share);
        self.of.loss(self.prompts, self.range.start, &looped.chunk, factor, predictions, slopes)
    }

    fn read_together(&mut self, slots: &[usize], joint: &dyn Joint) -> f64 {
        if let Some(early) = &self.program.early {
            // The same after each loop, so the slopes of all add up.
            let all = vec![self.run.memory.one(early.predictions, 0).to_vec(); slots.len()];
            let (loss, slopes) = self.together(&all, &early.chunk, joint);
            let sum = self.run.memory.one(early.slopes, 0);
            sum.fill(0.0);
            slopes.iter().for_each(|own| sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own));
            self.early_joint += loss;
        }
        let Some(looped) = self.looped() else { return 0.0 };
        let mut all = Vec::with_capacity(slots.len());
        for slot in slots {
            self.predict(looped, *slot);
            all.push(self.run.memory.one(looped.predictions, *slot).to_vec());
        }
        let (loss, slopes) = self.together(&all, &looped.chunk, joint);
        for (slot, slopes) in slots.iter().zip(slopes) {
            self.run.memory.one(looped.slopes, *slot).copy_from_slice(&slopes);
        }
        loss
    }

    fn backward(&mut self, slot: usize) {
        let Some(looped) = self.back(slot) else { return };
        self.back_over_reading(looped, slot);
        let steps = if self.kept[slot].last { &looped.last.backward } else { &looped.body.backward };
        self.run.list(steps, &looped.chunk, slot);
    }

    fn join_loss(&mut self, slot: usize) {
        let Some(looped) = self.back(slot) else { return };
        self.back_over_reading(looped, slot);
    }

    fn backward_state(&mut self, slot: usize) {
        let Some(looped) = self.back(slot) else { return };
        let sums = self.sums(looped);
        let before: Vec<Vec<f32>> =
            sums.iter().map(|place| self.run.memory.one(*place, 0).to_vec()).collect();
        // Some steps write over what was kept.
        let kept = self.run.memory.slot(slot).to_vec();
        std::mem::swap(&mut self.run.grads, &mut self.waste);
        self.run.state_alone = true;
        self.run.list(&looped.body.backward, &looped.chunk, slot);
        self.run.state_alone = false;
        std::mem::swap(&mut self.run.grads, &mut self.waste);
        self.run.memory.slot(slot).copy_from_slice(&kept);
        for (place, before) in sums.iter().zip(before) {
            self.run.memory.one(*place, 0).copy_from_slice(&before);
        }
    }

    fn rewind(&mut self, slot: usize) {
        self.run.backward = false;
        (self.slot, self.index) = (slot, self.kept[slot].index);
    }

    fn with_state(&mut self, change: &mut dyn FnMut(&mut [f32])) {
        let Some(looped) = self.looped() else { return change(&mut []) };
        self.before_change(looped);
        change(self.run.memory.one(looped.state, self.slot));
    }

    fn state(&mut self) -> Vec<f32> {
        self.looped().map_or_else(Vec::new, |looped| self.run.memory.one(looped.state, self.slot).to_vec())
    }

    fn with_gradient(&mut self, change: &mut dyn FnMut(&mut [f32])) {
        match self.looped() {
            Some(looped) => change(self.run.memory.one(looped.dstate, 0)),
            None => change(&mut []),
        }
    }

    fn finish(&mut self) {
        self.run.backward = true;
        if let Some(looped) = self.looped() {
            self.run.list(&self.prelude(looped).backward, &looped.chunk, 0);
        }
    }

    fn note(&mut self, what: &'static str, of_prompts: &[f64]) {
        *self.notes.entry(what).or_default() += of_prompts.iter().sum::<f64>();
    }
}
