//! How a training step goes through its loops: which of them it keeps, and how the gradient comes back through them.
//!
//! Three things are apart (as in torchdeq, arXiv 2310.18605): the loop itself, which an engine runs one at a time ([`Body`]); the way through
//! the loops ([`Unroll`]); and what counts of the predictions on the way ([`LoopLoss`](crate::LoopLoss)).

mod implicit;
mod last;
mod phantom;
mod random_prefix;
mod solver;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

pub use implicit::Implicit;
pub use last::LastLoops;
pub use phantom::Phantom;
pub use random_prefix::RandomPrefix;
pub use solver::Solver;

use crate::loop_loss::{Counting, Joint, Share};
use crate::{LoopLoss, LoopPlan, Problems, Regularizer, Rng, UniformLoss};

/// The loops over some prompts in a training step, run one at a time. An engine offers them, an [`Unroll`] goes through them.
///
/// There is a state z, and a gradient d with respect to it; f is one loop. Loops that will be run backward are kept in slots, numbered from 0.
/// Gradients with respect to the parameters add up as loops are run backward.
///
/// Every [`start`](Self::start) is ended by a [`finish`](Self::finish).
pub trait Body {
    /// Which of the step's prompts these are.
    fn prompts(&self) -> Range<usize>;

    /// How many the step has in all.
    fn prompts_of_step(&self) -> usize;

    /// Begins with the first state, d = 0, and no slot in use. With `to_first_state` the gradient will go on into what the first state is
    /// made of.
    fn start(&mut self, to_first_state: bool);

    /// z <- f(z); nothing is kept.
    fn advance(&mut self);

    /// z <- f(z), kept in the next slot, whose number comes back.
    fn record(&mut self) -> usize;

    /// The same, for a last loop: after it there is a prediction and no state. It is read at once, and run backward first.
    fn record_last(&mut self) -> usize;

    /// The loss after a slot's loop, times its share. Its gradient joins d when the slot is run backward.
    fn read(&mut self, slot: usize, share: Share) -> f64;

    /// The loss of several slots' predictions together.
    fn read_together(&mut self, slots: &[usize], joint: &dyn Joint, share: Share) -> f64;

    /// d <- J^T (d + the gradient of the loss after the slot's loop), J being the loop's derivative with respect to the state.
    fn backward(&mut self, slot: usize);

    /// d <- d + the gradient of the loss after the slot's loop, which [`backward`](Self::backward) then leaves out.
    fn join_loss(&mut self, slot: usize);

    /// d <- J^T d; parameters get no gradient, and the slot can be run backward again.
    fn backward_state(&mut self, slot: usize);

    /// Goes back to before a slot's loop: its state is z again, and it and later slots are free.
    fn rewind(&mut self, slot: usize);

    /// Changes z: (prompts, tokens, width), of the tokens that are looped over.
    fn with_state(&mut self, change: &mut dyn FnMut(&mut [f32]));

    /// Changes d, of z's shape.
    fn with_gradient(&mut self, change: &mut dyn FnMut(&mut [f32]));

    /// Ends what [`start`](Self::start) began: gradients go on into the embedded prompt, and, if that was said, into the first state.
    fn finish(&mut self);

    /// Notes a number for each prompt, to be reported as its mean over the step's prompts.
    fn note(&mut self, what: &'static str, of_prompts: &[f64]);

    /// z, copied.
    fn state(&mut self) -> Vec<f32> {
        let mut copy = Vec::new();
        self.with_state(&mut |state| copy.extend_from_slice(state));
        copy
    }

    /// d, copied.
    fn gradient(&mut self) -> Vec<f32> {
        let mut copy = Vec::new();
        self.with_gradient(&mut |gradient| copy.extend_from_slice(gradient));
        copy
    }

    /// z <- these numbers.
    fn set_state(&mut self, to: &[f32]) {
        self.with_state(&mut |state| state.copy_from_slice(to));
    }

    /// d <- these numbers.
    fn set_gradient(&mut self, to: &[f32]) {
        self.with_gradient(&mut |gradient| gradient.copy_from_slice(to));
    }
}

/// What is done with the loops over each part of a step's prompts.
pub trait Policy: Sync {
    /// The most loops it runs one after another. What is stretched over all loops of a model is stretched over these.
    fn loops(&self) -> usize;

    /// The most slots that are in use at once, and whether the state after the last of them is asked for.
    fn slots(&self) -> (usize, bool);

    /// Forward through the loops and backward: the loss. It is called for a few prompts at a time, on several threads, and does the same each
    /// time.
    fn run(&self, body: &mut dyn Body) -> f64;
}

/// The loops of a training step, and what the experiment says of them.
#[derive(Clone, Debug)]
pub struct StepLoops {
    /// How many.
    pub loops: usize,
    /// `training.n_loop_window`.
    pub window: usize,
    /// `training.n_loss_loops`, if it is given.
    pub counted: Option<usize>,
    /// The way through them.
    pub unroll: Arc<dyn Unroll>,
    /// What counts.
    pub loss: Arc<dyn LoopLoss>,
    /// What is added to the loss.
    pub regularizers: Vec<Arc<dyn Regularizer>>,
    /// The step's own generator. Every part of the prompts sees the same draws.
    pub rng: Rng,
}

/// A plain pass over a step's prompts: loops without gradient, then a window with it, whose last loops enter the loss alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass {
    /// How much its loss counts.
    pub share: f64,
    /// Its loops, and how many of the last carry gradient.
    pub plan: LoopPlan,
    /// How many of the last enter its loss.
    pub counted: usize,
}

/// How much is computed in a step, in the mean over what it may draw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepWork {
    /// Passes over the prompts.
    pub passes: f64,
    /// Loops forward.
    pub loops: f64,
    /// Loops backward.
    pub backward: f64,
}

impl StepWork {
    /// A pass of so many loops, of which some are run backward.
    #[must_use]
    pub fn pass(loops: f64, backward: f64) -> Self {
        Self { passes: 1.0, loops, backward }
    }
}

impl std::ops::Add for StepWork {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passes: self.passes + other.passes,
            loops: self.loops + other.loops,
            backward: self.backward + other.backward,
        }
    }
}

/// A way through a step's loops. `type` in TOML is the typetag name.
///
/// ```
/// use looped_core::{Body, Counting, StepLoops, StepWork, Unroll, schemars, typetag};
/// use serde::{Deserialize, Serialize};
///
/// /// Every loop is kept, and each gets the gradient of its own prediction alone.
/// #[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Greedy {}
///
/// #[typetag::serde(name = "greedy")]
/// impl Unroll for Greedy {
///     fn slots(&self, _: usize, _: usize) -> usize {
///         1
///     }
///     fn work(&self, loops: usize, _: usize) -> StepWork {
///         StepWork::pass(loops as f64, loops as f64)
///     }
///     fn run(&self, step: &StepLoops, counting: &Counting<'_>, body: &mut dyn Body) -> f64 {
///         let mut sum = 0.0;
///         body.start(false);
///         for index in 0..step.loops {
///             let slot = body.record();
///             let state = body.state();
///             sum += counting.read(index, step.loops, slot, body);
///             body.backward(slot);
///             body.rewind(slot);
///             body.set_state(&state);
///             body.with_gradient(&mut |d| d.fill(0.0));
///         }
///         body.finish();
///         sum
///     }
/// }
/// looped_core::register!(Unroll, "greedy", Greedy);
/// # fn main() {}
/// ```
#[typetag::serde(tag = "type")]
pub trait Unroll: Debug + Send + Sync {
    /// Reports settings that can't work with steps of up to `loops` loops and this `n_loop_window`; keys are relative to `training`.
    fn validate(&self, loops: usize, window: usize, problems: &mut Problems) {
        let _ = (loops, window, problems);
    }

    /// The most loops that it keeps at once, of a step of so many.
    fn slots(&self, loops: usize, window: usize) -> usize;

    /// How much a step of so many loops computes.
    fn work(&self, loops: usize, window: usize) -> StepWork;

    /// What a step does, if that is loops without gradient and then some with it through all of them: engines without a [`Body`] can do that.
    fn plan(&self, step: &StepLoops) -> Option<LoopPlan> {
        let _ = step;
        None
    }

    /// What a step's notes say against its gradient, in a sentence; nothing if they don't.
    fn doubt(&self, notes: &BTreeMap<&'static str, f64>) -> Option<String> {
        let _ = notes;
        None
    }

    /// Forward through the step's loops and backward: the loss.
    fn run(&self, step: &StepLoops, counting: &Counting<'_>, body: &mut dyn Body) -> f64;
}

impl StepLoops {
    /// The usual step: the last loops carry gradient, and the last of those enter the loss alike.
    #[must_use]
    pub fn last(plan: LoopPlan, counted: usize) -> Self {
        Self {
            loops: plan.loops,
            window: plan.window,
            counted: Some(counted),
            unroll: Arc::new(LastLoops {}),
            loss: Arc::new(UniformLoss {}),
            regularizers: Vec::new(),
            rng: Rng::stream(0, "nothing is drawn", 0),
        }
    }

    /// The same as plain passes, for an engine without a [`Body`]; `None` if it can't be said so.
    #[must_use]
    pub fn passes(&self) -> Option<Vec<Pass>> {
        if self.regularizers.is_empty() { self.loss.passes(self) } else { None }
    }

    /// Loops without gradient, then a window with it: the usual way. What the loss counts is read on the way.
    pub fn window(&self, plan: LoopPlan, counting: &Counting<'_>, body: &mut dyn Body) -> f64 {
        let window = plan.window.min(plan.loops);
        let free = plan.loops - window;
        body.start(free == 0);
        (0..free).for_each(|_| body.advance());
        let whole = self.asks_for_last_state();
        let mut sum = 0.0;
        for index in 0..window {
            // A last loop is read at once.
            let last = index + 1 == window && !whole && (counting.share)(index, window).is_some();
            let slot = if last { body.record_last() } else { body.record() };
            sum += counting.read(index, window, slot, body);
        }
        sum += counting.read_joint(window, body);
        sum += self.regularize(body, window);
        (0..window).rev().for_each(|slot| body.backward(slot));
        body.finish();
        sum
    }

    /// Adds the regularisers at the present state, and to its gradient; they use slots from `slot` on.
    pub fn regularize(&self, body: &mut dyn Body, slot: usize) -> f64 {
        let of = |(i, regularizer): (usize, &Arc<dyn Regularizer>)| {
            regularizer.add(body, slot, &mut self.rng.fork(i as u64))
        };
        self.regularizers.iter().enumerate().map(of).sum()
    }

    /// Whether something looks at the state after the last loop.
    #[must_use]
    pub fn asks_for_last_state(&self) -> bool {
        !self.regularizers.is_empty() || self.loss.joint().is_some()
    }

    /// How much is computed.
    #[must_use]
    pub fn work(&self) -> StepWork {
        let of_loss = self.loss.work(&*self.unroll, self.loops, self.window);
        self.regularizers.iter().fold(of_loss, |sum, regularizer| sum + regularizer.work())
    }
}

impl Policy for StepLoops {
    /// The step's, and one more where a regulariser looks at it.
    fn loops(&self) -> usize {
        self.loops + usize::from(!self.regularizers.is_empty())
    }

    fn slots(&self) -> (usize, bool) {
        let own = self.unroll.slots(self.loops, self.window);
        let more = self.regularizers.iter().map(|regularizer| regularizer.slots()).max().unwrap_or(0);
        (own + more, self.asks_for_last_state() || self.passes().is_none())
    }

    fn run(&self, body: &mut dyn Body) -> f64 {
        self.loss.run(self, body)
    }
}

/// Of numbers (prompts, ...), the sum of squares of each prompt's.
pub(crate) fn squares(numbers: &[f32], prompts: usize) -> Vec<f64> {
    let each = (numbers.len() / prompts.max(1)).max(1);
    let of = |own: &[f32]| own.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    numbers.chunks_exact(each).map(of).collect()
}
