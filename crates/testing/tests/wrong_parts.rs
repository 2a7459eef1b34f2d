//! Each check passes a good part and fails a wrong one, by a message that says what is wrong.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::fmt::Debug;
use std::ops::Range;

use looped_core::fused::{Backward, Chunk, Forward, FusedBlock, FusedSizes, Kernels, PackedBlock};
use looped_core::{
    Baseline, Block, BlockConfig, Full, Init, Injector, LastN, LoopStep, Memory, ModelDims, NoInjection,
    Operation, Params, Prompt, Prompts, Request, Result, Rng, Task, Tensor, register, schemars, typetag,
};
use looped_testing::*;
use serde::{Deserialize, Serialize};

/// Runs a check that must fail, and asserts a part of its message.
#[track_caller]
fn fails(check: impl FnOnce(), part: &str) {
    let failure =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).expect_err("the check passes");
    let message = failure
        .downcast_ref::<String>()
        .map_or_else(|| (*failure.downcast_ref::<&str>().expect("a message")).to_owned(), Clone::clone);
    assert!(message.contains(part), "expected {part:?} in: {message}");
}

/// What is wrong with [`WrongBlock`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum BlockFault {
    None,
    SeesTheLastToken,
    DropsATokenFromTheShape,
    ForgetsItsPrefix,
    CutsItsMemory,
    CannotBeSplit,
    CutsTheGradient,
    IgnoresItsWeight,
}

/// The tanh of a weight times the running sum over the tokens.
#[derive(Debug, Serialize, Deserialize)]
struct WrongBlock {
    fault: BlockFault,
}

struct WeightedSum {
    weight: Tensor,
    fault: BlockFault,
}

impl WeightedSum {
    fn run(&self, x: &Tensor, before: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let mut sums = x.cumsum(1)?;
        if let Some(before) = before {
            sums = sums.broadcast_add(before)?;
        }
        let last = sums.narrow(1, sums.dim(1)? - 1, 1)?;
        let sums = match self.fault {
            BlockFault::SeesTheLastToken => sums.broadcast_add(&last)?,
            BlockFault::DropsATokenFromTheShape => sums.narrow(1, 0, sums.dim(1)? - 1)?,
            _ => sums,
        };
        let weight = match self.fault {
            BlockFault::CutsTheGradient => self.weight.detach(),
            BlockFault::IgnoresItsWeight => (&self.weight * 1e-30)?,
            _ => self.weight.clone(),
        };
        Ok((sums.broadcast_mul(&weight)?.tanh()?, last))
    }
}

impl Block for WeightedSum {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.run(x, None)?.0)
    }

    fn prefill(&self, prefix: &Tensor) -> Result<Option<(Tensor, Memory)>> {
        if matches!(self.fault, BlockFault::CannotBeSplit) {
            return Ok(None);
        }
        let (output, last) = self.run(prefix, None)?;
        let last = if matches!(self.fault, BlockFault::CutsItsMemory) { last.detach() } else { last };
        Ok(Some((output, Memory { tensors: vec![last], inner: vec![] })))
    }

    fn extend(&self, suffix: &Tensor, memory: &Memory) -> Result<Tensor> {
        let forgets = matches!(self.fault, BlockFault::ForgetsItsPrefix);
        Ok(self.run(suffix, if forgets { None } else { Some(&memory.tensors[0]) })?.0)
    }
}

#[typetag::serde(name = "wrong_block")]
impl BlockConfig for WrongBlock {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Result<Box<dyn Block>> {
        let weight = params.get("weight", dims.n_embd, Init::Ones)?;
        Ok(Box::new(WeightedSum { weight, fault: self.fault }))
    }

    fn flops(&self, _: &ModelDims, _: Range<usize>) -> u64 {
        0
    }
}

#[test]
fn blocks() {
    let wrong = |fault| WrongBlock { fault };
    block_is_causal(&wrong(BlockFault::None), 4);
    block_splits(&wrong(BlockFault::None), 4);
    gradients_are_true(&wrong(BlockFault::None), 4, &[]);
    gradients_are_true(&wrong(BlockFault::CannotBeSplit), 4, &[]);
    fails(|| block_is_causal(&wrong(BlockFault::SeesTheLastToken), 4), "see later tokens");
    fails(|| block_is_causal(&wrong(BlockFault::DropsATokenFromTheShape), 4), "changes the shape");
    fails(|| block_splits(&wrong(BlockFault::ForgetsItsPrefix), 4), "split after 1 tokens");
    fails(|| block_splits(&wrong(BlockFault::CannotBeSplit), 4), "the block can't be split");
    let gradients = |fault| gradients_are_true(&wrong(fault), 4, &[]);
    fails(|| gradients(BlockFault::CutsItsMemory), "under last_n");
    fails(|| gradients(BlockFault::CutsTheGradient), "h.0.weight gets no gradient");
    fails(|| gradients(BlockFault::IgnoresItsWeight), "is zero");
}

/// What is wrong with the fused form of [`Scaled`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum FusedFault {
    None,
    ThereIsNone,
    ForgetsItsGradient,
    ScalesTwice,
    NamesAnotherParameter,
}

/// Each coordinate times a weight of its own; its fused form may be wrong.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Scaled {
    fault: FusedFault,
}

struct ScaledBlock(Tensor);

impl Block for ScaledBlock {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.broadcast_mul(&self.0)?)
    }

    fn prefill(&self, prefix: &Tensor) -> Result<Option<(Tensor, Memory)>> {
        Ok(Some((self.forward(prefix)?, Memory::default())))
    }

    fn extend(&self, suffix: &Tensor, _: &Memory) -> Result<Tensor> {
        self.forward(suffix)
    }
}

#[typetag::serde(name = "scaled")]
impl BlockConfig for Scaled {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Result<Box<dyn Block>> {
        Ok(Box::new(ScaledBlock(params.get("weight", dims.n_embd, Init::Ones)?)))
    }

    fn flops(&self, _: &ModelDims, _: Range<usize>) -> u64 {
        0
    }

    fn fused(&self, dims: &ModelDims) -> Option<Box<dyn FusedBlock>> {
        let form = FusedScaled { width: dims.n_embd, fault: self.fault };
        (self.fault != FusedFault::ThereIsNone).then(|| -> Box<dyn FusedBlock> { Box::new(form) })
    }
}

#[derive(Clone, Copy)]
struct FusedScaled {
    width: usize,
    fault: FusedFault,
}

struct PackedScaled {
    weight: Vec<f32>,
    form: FusedScaled,
}

impl FusedSizes for FusedScaled {
    fn tape_len(&self, _: Chunk) -> usize {
        0
    }

    fn memory_len(&self, _: Chunk) -> usize {
        0
    }

    fn scratch_len(&self, _: Chunk) -> usize {
        0
    }
}

impl FusedBlock for FusedScaled {
    fn parameters(&self) -> Vec<(String, usize)> {
        let name = if self.fault == FusedFault::NamesAnotherParameter { "scale" } else { "weight" };
        vec![(name.to_owned(), self.width)]
    }

    fn pack(&self, weights: &[&[f32]], _: Kernels) -> Box<dyn PackedBlock> {
        Box::new(PackedScaled { weight: weights[0].to_vec(), form: *self })
    }
}

impl PackedBlock for PackedScaled {
    fn sizes(&self) -> &dyn FusedSizes {
        &self.form
    }

    fn forward(&self, _: Chunk, x: &[f32], out: &mut [f32], _: Forward<'_>) {
        let weights = self.weight.iter().cycle();
        out.iter_mut().zip(x).zip(weights).for_each(|((out, x), weight)| *out = weight * x);
    }

    fn backward(&self, _: Chunk, x: &[f32], dy: &mut [f32], pass: Backward<'_>) {
        let width = self.form.width;
        for (i, (x, dy)) in x.iter().zip(dy).enumerate() {
            if self.form.fault != FusedFault::ForgetsItsGradient {
                pass.grads[i % width] += x * *dy;
            }
            *dy *= self.weight[i % width];
            if self.form.fault == FusedFault::ScalesTwice {
                *dy *= self.weight[i % width];
            }
        }
    }
}

#[test]
fn fused_forms() {
    let check = |fault| fused_agrees(&Scaled { fault }, 4);
    check(FusedFault::None);
    fails(|| check(FusedFault::ThereIsNone), "the block has no fused form");
    fails(
        || check(FusedFault::ForgetsItsGradient),
        "the gradient of _backbone.transformer.h.0.weight under full",
    );
    fails(|| check(FusedFault::ScalesTwice), "the gradient of _");
    fails(|| check(FusedFault::NamesAnotherParameter), "_backbone.transformer.h.0.scale is missing");
}

/// What is wrong with [`WrongInjector`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum InjectorFault {
    DropsATokenFromTheFirstState,
    DividesByZero,
    ClaimsAPrefixThatSeesTheState,
    ClaimsAPrefixThatChangesWithTheLoop,
    ClaimsMoreThanThereIs,
    CountsFromTheFirstTokenGiven,
    CutsTheGradient,
}

/// x + z.
#[derive(Debug, Serialize, Deserialize)]
struct WrongInjector {
    fault: InjectorFault,
}

#[typetag::serde(name = "wrong_injector")]
impl Injector for WrongInjector {
    fn initial(&self, input: &Tensor) -> Result<Tensor> {
        let cut = usize::from(self.fault == InjectorFault::DropsATokenFromTheFirstState);
        Ok(input.narrow(1, 0, input.dim(1)? - cut)?.zeros_like()?)
    }

    fn inject(&self, state: &Tensor, input: &Tensor, at: LoopStep) -> Result<Tensor> {
        Ok(match self.fault {
            InjectorFault::DividesByZero => (input / 0.0)?,
            InjectorFault::ClaimsAPrefixThatChangesWithTheLoop => (input * (at.index as f64 + 1.0))?,
            InjectorFault::CutsTheGradient => (input + state.detach())?,
            InjectorFault::CountsFromTheFirstTokenGiven => {
                let kept = |token| f32::from(u8::from(token + 2 >= at.tokens));
                let mask = (0..input.dim(1)?).map(kept).collect::<Vec<_>>();
                let mask = Tensor::from_vec(mask, (1, input.dim(1)?, 1), input.device())?;
                (input + state.broadcast_mul(&mask)?)?
            }
            _ => (input + state)?,
        })
    }

    fn invariant_prefix(&self, tokens: usize) -> usize {
        match self.fault {
            InjectorFault::ClaimsAPrefixThatSeesTheState
            | InjectorFault::ClaimsAPrefixThatChangesWithTheLoop => tokens / 2,
            InjectorFault::ClaimsMoreThanThereIs => tokens + 1,
            InjectorFault::CountsFromTheFirstTokenGiven => tokens.saturating_sub(2),
            _ => 0,
        }
    }
}

#[test]
fn built_in_injectors_pass() {
    let last = |n| Box::new(LastN { n, operation: Operation::Multiply }) as Box<dyn Injector>;
    let full: Box<dyn Injector> = Box::new(Full { operation: Operation::Add });
    for injector in [full, last(-1), last(0), last(5), Box::new(NoInjection {})] {
        injector_keeps_the_shape(injector.as_ref());
        injector_prefix_is_invariant(injector.as_ref());
        injector_gradients_are_true(injector.as_ref());
    }
}

#[test]
fn injectors() {
    let wrong = |fault| WrongInjector { fault };
    let shape = |fault| injector_keeps_the_shape(&wrong(fault));
    fails(|| shape(InjectorFault::DropsATokenFromTheFirstState), "the first state has another shape");
    fails(|| shape(InjectorFault::DividesByZero), "a loop's input isn't finite");
    let prefix = |fault| injector_prefix_is_invariant(&wrong(fault));
    fails(|| prefix(InjectorFault::ClaimsMoreThanThereIs), "2 of 1 tokens");
    for fault in
        [InjectorFault::ClaimsAPrefixThatSeesTheState, InjectorFault::ClaimsAPrefixThatChangesWithTheLoop]
    {
        fails(|| prefix(fault), "token 0 of 2 is in the invariant prefix of 1");
    }
    fails(|| prefix(InjectorFault::CountsFromTheFirstTokenGiven), "first 5 of 7 tokens left out");
    let cut = wrong(InjectorFault::CutsTheGradient);
    fails(|| injector_gradients_are_true(&cut), "the gradient with respect to the state is 0");
}

/// What is wrong with [`WrongBaseline`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum BaselineFault {
    None,
    SeesItsOwnY,
    SeesTheNumberOfPoints,
    StartsAtOne,
    LeavesOutTheFirst,
    DividesByZero,
}

/// The mean of the y seen so far.
#[derive(Debug, Serialize, Deserialize)]
struct WrongBaseline {
    fault: BaselineFault,
}

#[typetag::serde(name = "wrong_baseline")]
impl Baseline for WrongBaseline {
    fn name(&self) -> String {
        "wrong".into()
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let count = prompt.ys.len();
        let mean = |ys: &[f32]| ys.iter().sum::<f32>() / ys.len().max(1) as f32;
        let mut predictions: Vec<f32> = (0..count)
            .map(|i| match self.fault {
                BaselineFault::SeesItsOwnY if i > 0 => mean(&prompt.ys[..=i]),
                BaselineFault::SeesTheNumberOfPoints => mean(&prompt.ys[..i]) * count as f32,
                BaselineFault::StartsAtOne if i == 0 => 1.0,
                BaselineFault::DividesByZero => prompt.ys[..i].iter().sum::<f32>() / i as f32,
                _ => mean(&prompt.ys[..i]),
            })
            .collect();
        if self.fault == BaselineFault::LeavesOutTheFirst {
            predictions.remove(0);
        }
        Ok(predictions)
    }
}

#[test]
fn baselines() {
    let check = |fault| baseline_is_causal(&WrongBaseline { fault });
    check(BaselineFault::None);
    fails(|| check(BaselineFault::SeesItsOwnY), "prediction 1 depends on the value of the points from 1 on");
    fails(|| check(BaselineFault::SeesTheNumberOfPoints), "prediction 1 depends on the number");
    fails(|| check(BaselineFault::StartsAtOne), "isn't 0");
    fails(|| check(BaselineFault::LeavesOutTheFirst), "as many predictions");
    fails(|| check(BaselineFault::DividesByZero), "isn't finite");
}

/// What is wrong with [`WrongTask`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum TaskFault {
    None,
    IgnoresTheSeed,
    FillsEveryCoordinate,
    GivesOnePromptLess,
    DividesByZero,
}

/// y = 0 at x ~ N(0, I).
#[derive(Debug, Serialize, Deserialize)]
struct WrongTask {
    fault: TaskFault,
}

#[typetag::serde(name = "wrong_task")]
impl Task for WrongTask {
    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        let Request { points, dims, n_dims, .. } = request;
        let prompts = request.prompts - usize::from(self.fault == TaskFault::GivesOnePromptLess);
        if self.fault == TaskFault::IgnoresTheSeed {
            *rng = Rng::stream(0, "the same for all", 0);
        }
        let used = if self.fault == TaskFault::FillsEveryCoordinate { n_dims } else { dims };
        let mut xs = rng.normals(prompts * points * n_dims);
        xs.chunks_mut(n_dims).for_each(|x| x[used..].fill(0.0));
        let y = if self.fault == TaskFault::DividesByZero { f32::NAN } else { 0.0 };
        Ok(Prompts { xs, ys: vec![y; prompts * points], prompts, points, n_dims })
    }
}

#[test]
fn tasks() {
    let check = |fault| task_is_seeded(&WrongTask { fault });
    check(TaskFault::None);
    fails(|| check(TaskFault::IgnoresTheSeed), "another seed gives the same prompts");
    fails(|| check(TaskFault::FillsEveryCoordinate), "beyond `dims`");
    fails(|| check(TaskFault::GivesOnePromptLess), "the shape isn't the one asked for");
    fails(|| check(TaskFault::DividesByZero), "isn't finite");
}

// No help.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct Mute {}

/// A key without help.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct MuteKey {
    key: usize,
}

/// Registered under another name than typetag's.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct Misnamed {}

macro_rules! baseline {
    ($config:ty, $tag:literal) => {
        #[typetag::serde(name = $tag)]
        impl Baseline for $config {
            fn name(&self) -> String {
                $tag.into()
            }

            fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
                Ok(vec![0.0; prompt.ys.len()])
            }
        }
    };
}
baseline!(Mute, "mute");
baseline!(MuteKey, "mute_key");
baseline!(Misnamed, "misnamed");
register!(Baseline, "mute", Mute);
register!(Baseline, "mute_key", MuteKey);
register!(Baseline, "named", Misnamed);

#[test]
fn configs() {
    round_trips::<dyn Injector>(r#"{"type":"last_n","n":3}"#);
    is_registered::<dyn Injector>(r#"{"type":"last_n","n":3}"#);
    fails(|| round_trips::<dyn Baseline>(r#"{"type":"mute_key","key":1}"#), "an unknown key is swallowed");
    fails(|| round_trips::<dyn Baseline>(r#"{"type":"mute_key","key":-1}"#), "invalid value");
    fails(|| is_registered::<dyn Baseline>(r#"{"type":"mute"}"#), "`mute` has no help");
    fails(|| is_registered::<dyn Baseline>(r#"{"type":"mute_key","key":1}"#), "the key `key`");
    fails(|| is_registered::<dyn Baseline>(r#"{"type":"misnamed"}"#), "`misnamed` is registered 0 times");
}
