//! The `[model]` table of an experiment.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BlockConfig, Injector, ModelDims, Problems, Prompts, TokenLayout};

/// A looped model: its sizes, its block and what flows from loop to loop.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Width of x.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n_dims: usize,
    /// Most points a prompt may have.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n_positions: usize,
    /// Width of the state.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n_embd: usize,
    /// Blocks in one loop.
    #[schemars(range(min = 1, max = 10_000))]
    pub n_layer: usize,
    /// Parameters to start from: a `.pt` or `.safetensors` file with this model's names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "path"))]
    pub pretrained_path: Option<PathBuf>,
    /// The block, applied `n_layer` times in a loop, each with parameters of its own.
    #[schemars(schema_with = "crate::parts::block_schema")]
    pub block: Box<dyn BlockConfig>,
    /// What flows from loop to loop.
    #[schemars(schema_with = "crate::parts::injector_schema")]
    pub injector: Box<dyn Injector>,
    /// How tokens become rows of the state's width.
    #[serde(default, skip_serializing_if = "is_default")]
    pub embed: Embed,
    /// What is predicted of a row of the state.
    #[serde(default, skip_serializing_if = "is_default")]
    pub head: Head,
    /// A gate that says after each loop, for each prediction, how likely it is the last; the loss `exit_weighted` trains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_gate: Option<ExitGate>,
    /// Blocks that the embedded prompt passes once, before the loops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::parts::blocks_schema")]
    pub prelude: Vec<Box<dyn BlockConfig>>,
    /// Blocks that the state passes before predictions are read of it; the loops don't see what they make of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::parts::blocks_schema")]
    pub coda: Vec<Box<dyn BlockConfig>>,
    /// Where learned positions are added.
    #[serde(default, skip_serializing_if = "is_default")]
    pub positions: Positions,
    /// The norm at the end of each loop.
    #[serde(default, skip_serializing_if = "is_default")]
    pub loop_norm: LoopNorm,
    /// The state before the first loop.
    #[serde(default, skip_serializing_if = "is_default")]
    pub first_state: FirstState,
    /// How much of the way from a state to the next a loop goes.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub relaxation: f64,
}

/// How tokens become rows of the state's width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Embed {
    /// A linear layer of x, and of y followed by zeros.
    #[default]
    Linear,
    /// A row of a table for each entry of a vocabulary.
    Vocabulary {
        /// How many entries.
        #[schemars(range(min = 2, max = 65536))]
        size: usize,
    },
}

/// What is predicted of a row of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Head {
    /// A number.
    #[default]
    Scalar,
    /// A number for each of some classes: the larger, the likelier.
    Classes {
        /// How many classes.
        #[schemars(range(min = 2, max = 65536))]
        count: usize,
    },
}

/// How an exit gate begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExitGate {
    /// The logit of stopping, before anything is learnt: with -3 one loop in 21 is the last.
    #[serde(default = "deep_start")]
    #[schemars(range(min = -100, max = 100))]
    pub bias: f32,
}

const fn deep_start() -> f32 {
    -3.0
}

/// Where learned positions are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// To the input of every loop.
    #[default]
    EachLoop,
    /// To the embedded prompt, before the prelude and the loops.
    Once,
    /// Nowhere: blocks see the order of the tokens by causality alone, or have positions of their own.
    None,
}

/// The norm at the end of each loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoopNorm {
    /// A layer norm.
    #[default]
    Layer,
    /// A root-mean-square norm.
    Rms,
    /// None: nothing keeps a state from growing from loop to loop.
    None,
}

/// The state before the first loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FirstState {
    /// What the injector says: 0, or 1 where it multiplies, or the embedded prompt where nothing is injected.
    #[default]
    Injector,
    /// 0.
    Zero,
    /// The embedded prompt.
    Embedded,
    /// Numbers from N(0, std^2), drawn anew for each token of each prompt.
    Noise {
        /// Standard deviation.
        #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1000))]
        std: f64,
    },
    /// A row that is learnt, the same for all tokens.
    Learned,
}

impl FirstState {
    /// Whether it may hold the embedded prompt.
    const fn shows_the_prompt(self) -> bool {
        matches!(self, Self::Injector | Self::Embedded)
    }
}

const fn whole() -> f64 {
    1.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_whole(relaxation: &f64) -> bool {
    *relaxation == 1.0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ModelConfig {
    /// A model of these sizes, block and injector, and nothing else: no prelude, no coda, positions in each loop, a layer norm at its end, the
    /// injector's own first state, no relaxation.
    #[must_use]
    pub fn new(dims: ModelDims, block: Box<dyn BlockConfig>, injector: Box<dyn Injector>) -> Self {
        let ModelDims { n_dims, n_positions, n_embd, n_layer } = dims;
        Self {
            n_dims,
            n_positions,
            n_embd,
            n_layer,
            pretrained_path: None,
            block,
            injector,
            embed: Embed::default(),
            head: Head::default(),
            exit_gate: None,
            prelude: Vec::new(),
            coda: Vec::new(),
            positions: Positions::default(),
            loop_norm: LoopNorm::default(),
            first_state: FirstState::default(),
            relaxation: whole(),
        }
    }

    /// How prompts become tokens.
    #[must_use]
    pub const fn layout(&self) -> TokenLayout {
        match self.embed {
            Embed::Linear => TokenLayout::Pairs,
            Embed::Vocabulary { .. } => TokenLayout::Ids,
        }
    }

    /// Whether prompts are of the kind and the sizes that the model takes.
    ///
    /// # Errors
    /// If they aren't: what of them, and what the model takes.
    pub fn fit(&self, prompts: &Prompts) -> Result<(), String> {
        let Self { n_dims, n_positions, .. } = self;
        if self.layout() != prompts.layout {
            return Err(
                "holds points x with a number y each, and the model takes sequences of tokens".to_owned()
            );
        }
        if prompts.n_dims != *n_dims {
            return Err(format!("x has {} coordinates, the model has n_dims = {n_dims}", prompts.n_dims));
        }
        if prompts.points > *n_positions {
            return Err(format!(
                "prompts have {} points, the model has n_positions = {n_positions}",
                prompts.points
            ));
        }
        Ok(())
    }

    /// Every block with its key, as in `prelude.0`.
    pub fn blocks(&self) -> impl Iterator<Item = (String, &dyn BlockConfig)> {
        let lists = [("prelude", &self.prelude), ("coda", &self.coda)];
        let listed = lists.into_iter().flat_map(|(key, blocks)| {
            blocks.iter().enumerate().map(move |(j, block)| (format!("{key}.{j}"), block.as_ref()))
        });
        std::iter::once(("block".to_owned(), self.block.as_ref())).chain(listed)
    }

    /// The sizes.
    #[must_use]
    pub const fn dims(&self) -> ModelDims {
        ModelDims {
            n_dims: self.n_dims,
            n_positions: self.n_positions,
            n_embd: self.n_embd,
            n_layer: self.n_layer,
        }
    }

    /// Reports what the block and the injector can't do at these sizes.
    pub fn validate(&self, problems: &mut Problems) {
        let dims = self.dims();
        for (key, part, number) in [
            ("embed", "size", if let Embed::Vocabulary { size } = self.embed { size } else { 2 }),
            ("head", "count", if let Head::Classes { count } = self.head { count } else { 2 }),
        ] {
            problems.within(key, |p| p.require_in(number, 2..=65536, part));
        }
        if let Some(ExitGate { bias }) = self.exit_gate {
            problems.within("exit_gate", |p| p.require_in(f64::from(bias), -100.0..=100.0, "bias"));
        }
        for (key, block) in self.blocks() {
            problems.within(key, |p| block.validate(&dims, p));
        }
        problems.within("injector", |p| self.injector.validate(&dims, p));
        self.validate_state(problems);
    }

    fn validate_state(&self, problems: &mut Problems) {
        let (relaxation, first) = (self.relaxation, self.first_state);
        problems.require(relaxation > 0.0 && relaxation <= 1.0, "relaxation", || {
            format!("is {relaxation}; allowed: above 0, to 1")
        });
        if let FirstState::Noise { std } = first {
            problems.within("first_state", |p| {
                p.require(std > 0.0 && std <= 1000.0, "std", || {
                    format!("is {std}; allowed: above 0, to 1000")
                });
            });
        }
        let injects = self.injector.typetag_name() != "none";
        problems.require(injects || first.shows_the_prompt(), "first_state", || {
            "leaves the model without the prompt, since the injector `none` brings in nothing; allowed: injector, embedded".to_owned()
        });
    }
}
