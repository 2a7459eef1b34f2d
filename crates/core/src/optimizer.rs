//! How parameters move along their gradients.

use std::fmt::Debug;

use looped_graph::Graph;

use crate::{Problems, Result};

/// What a parameter is for in its model; optimisers treat one role unlike another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The weight of a product between rows as wide as the model's own: (out, in).
    Matrix,
    /// The weight of the read-in or the read-out: (out, in). A vocabulary's is (width, entries).
    End,
    /// All others: biases, norms, positions, rows by loop, a state space's rates.
    Other,
}

/// A parameter as an optimiser sees it.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'a> {
    /// Its full name.
    pub name: &'a str,
    /// Its shape, row-major.
    pub dims: &'a [usize],
    /// What it is for.
    pub role: Role,
}

/// An update of all parameters.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The step's learning rate.
    pub learning_rate: f64,
    /// Which update it is, from 1. Steps that changed nothing aren't counted.
    pub number: usize,
}

/// A value that an optimiser keeps for a parameter from update to update: 0 at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name in checkpoints, without a dot: `first` of the parameter `a.b` is saved as `first.a.b`.
    pub name: &'static str,
    /// Its shape.
    pub dims: Vec<usize>,
}

/// An optimiser: a rule for one parameter at a time. `type` in TOML is the typetag name.
///
/// It holds settings only. What it keeps from update to update is held, saved and restored for it, by name.
///
/// ```
/// use looped_core::{Kept, Optimizer, Parameter, Result, Update, schemars, typetag};
/// use serde::{Deserialize, Serialize};
///
/// /// Steps of one size, along the signs of a running mean of the gradient.
/// #[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Signs {
///     /// How much of the mean stays.
///     beta: f64,
/// }
///
/// #[typetag::serde(name = "signs")]
/// impl Optimizer for Signs {
///     fn keeps(&self, parameter: Parameter<'_>) -> Vec<Kept> {
///         vec![Kept { name: "mean", dims: parameter.dims.to_vec() }]
///     }
///
///     fn update(
///         &self,
///         _: Parameter<'_>,
///         update: Update,
///         value: &mut [f32],
///         kept: &mut [&mut [f32]],
///         gradient: &[f32],
///     ) -> Result<()> {
///         let (rate, beta) = (update.learning_rate as f32, self.beta as f32);
///         for ((value, mean), slope) in value.iter_mut().zip(&mut *kept[0]).zip(gradient) {
///             *mean = beta * *mean + (1.0 - beta) * slope;
///             *value -= rate * mean.signum();
///         }
///         Ok(())
///     }
/// }
/// looped_core::register!(Optimizer, "signs", Signs);
/// # fn main() {
/// assert!(looped_core::Part::find(looped_core::Kind::Optimizer, "signs").is_some());
/// # }
/// ```
#[typetag::serde(tag = "type")]
pub trait Optimizer: Debug + Send + Sync {
    /// Reports settings that can't work; keys are relative to the optimiser's table.
    fn validate(&self, problems: &mut Problems) {
        let _ = problems;
    }

    /// Whether `training.weight_decay` times the parameter joins the gradient before the update. One that says no refuses that key.
    fn adds_decay(&self) -> bool {
        false
    }

    /// The betas and the eps of Adam, if that is what it is, with `first` and `second` moments: then an engine on a GPU may make its update
    /// there.
    fn as_adam(&self) -> Option<([f64; 2], f64)> {
        None
    }

    /// What it keeps for a parameter, in the order in which [`update`](Self::update) gets it.
    fn keeps(&self, parameter: Parameter<'_>) -> Vec<Kept>;

    /// Moves `value` along its gradient, and brings what is kept up to date; all in place. Parameters are updated in any order, and several at
    /// a time.
    ///
    /// # Shapes
    /// `value` and `gradient` have the parameter's, `kept` those that [`keeps`](Self::keeps) says; all row-major.
    ///
    /// # Errors
    /// If the parameter can't be updated so.
    fn update(
        &self,
        parameter: Parameter<'_>,
        update: Update,
        value: &mut [f32],
        kept: &mut [&mut [f32]],
        gradient: &[f32],
    ) -> Result<()>;
}

/// The role of each parameter of a recorded model, in the order of [`Graph::params`].
#[must_use]
pub fn roles(graph: &Graph) -> Vec<Role> {
    let is_weight = graph.weights();
    let role = |(info, is_weight): (&looped_graph::ParamInfo, bool)| match is_weight {
        true if info.name.starts_with("_read_in.") || info.name.starts_with("_read_out.") => Role::End,
        true => Role::Matrix,
        false => Role::Other,
    };
    graph.params().iter().zip(is_weight).map(role).collect()
}
