//! The Adam optimiser (Kingma and Ba, arXiv 1412.6980, algorithm 1), its moments open to checkpoints.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use looped_core::ParamStore;

use crate::Result;

/// A gradient for each parameter, by name.
pub type Gradients = BTreeMap<String, Tensor>;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPS: f64 = 1e-8;

/// Adam with betas 0.9 and 0.999, eps 1e-8, and weight decay as L2: decay * parameter joins the gradient.
#[derive(Debug)]
pub struct Adam {
    learning_rate: f64,
    weight_decay: f64,
    updates: usize,
    moments: BTreeMap<String, Moments>,
}

/// Running means of a parameter's gradient and of its square.
#[derive(Debug)]
struct Moments {
    first: Var,
    second: Var,
}

impl Adam {
    /// Moments of 0 for every parameter of `store`.
    ///
    /// # Errors
    /// If the device has no room for them.
    pub fn new(store: &ParamStore, learning_rate: f64, weight_decay: f64) -> Result<Self> {
        let zeros = |var: &Var| Var::zeros(var.shape(), var.dtype(), var.device());
        let moments = store
            .iter()
            .map(|(name, var)| Ok((name.to_owned(), Moments { first: zeros(var)?, second: zeros(var)? })));
        Ok(Self { learning_rate, weight_decay, updates: 0, moments: moments.collect::<Result<_>>()? })
    }

    /// Updates every parameter.
    ///
    /// # Errors
    /// If a gradient is missing or has another shape.
    pub fn update(&mut self, store: &ParamStore, gradients: &Gradients) -> Result<()> {
        self.updates += 1;
        let t = self.updates as f64;
        let step_size = self.learning_rate / (1.0 - BETA_1.powf(t));
        let second_scale = 1.0 / (1.0 - BETA_2.powf(t)).sqrt();
        for (name, parameter) in store.iter() {
            let Moments { first, second } = &self.moments[name];
            let gradient = gradients
                .get(name)
                .ok_or_else(|| looped_core::Error::Parameters(format!("{name} has no gradient")))?;
            let decayed;
            let gradient = if self.weight_decay == 0.0 {
                gradient
            } else {
                decayed = (gradient + (parameter.as_tensor() * self.weight_decay)?)?;
                &decayed
            };
            let first_now = ((first.as_tensor() * BETA_1)? + (gradient * (1.0 - BETA_1))?)?;
            let second_now = ((second.as_tensor() * BETA_2)? + (gradient.sqr()? * (1.0 - BETA_2))?)?;
            let denominator = ((second_now.sqrt()? * second_scale)? + EPS)?;
            let change = (first_now.div(&denominator)? * step_size)?;
            parameter.set(&(parameter.as_tensor() - change)?)?;
            first.set(&first_now)?;
            second.set(&second_now)?;
        }
        Ok(())
    }

    /// The moments under `first.NAME` and `second.NAME`, and the number of updates made: all that a resume needs.
    #[must_use]
    pub fn state(&self) -> (BTreeMap<String, Tensor>, usize) {
        let both = |(name, m): (&String, &Moments)| {
            let tensor = |kind, var: &Var| (format!("{kind}.{name}"), var.as_tensor().clone());
            [tensor("first", &m.first), tensor("second", &m.second)]
        };
        (self.moments.iter().flat_map(both).collect(), self.updates)
    }

    /// Goes on from a saved [`Adam::state`].
    ///
    /// # Errors
    /// If a moment is missing or has another shape.
    pub fn restore(&mut self, tensors: &BTreeMap<String, Tensor>, updates: usize) -> Result<()> {
        for (name, moments) in &self.moments {
            for (kind, var) in [("first", &moments.first), ("second", &moments.second)] {
                let key = format!("{kind}.{name}");
                let value =
                    tensors.get(&key).filter(|value| value.shape() == var.shape()).ok_or_else(|| {
                        looped_core::Error::Parameters(format!(
                            "moment {key} is missing or has another shape"
                        ))
                    })?;
                var.set(&value.to_device(var.device())?)?;
            }
        }
        self.updates = updates;
        Ok(())
    }
}

/// The Euclidean norm over all gradients together.
///
/// # Errors
/// If a tensor operation fails.
pub fn global_norm(gradients: &Gradients) -> Result<f64> {
    let squares = gradients.values().map(|g| Ok(g.sqr()?.sum_all()?)).collect::<Result<Vec<_>>>()?;
    Ok(f64::from(Tensor::stack(&squares, 0)?.sum_all()?.to_scalar::<f32>()?).sqrt())
}

/// Scales all gradients so that their global norm is at most `largest`.
///
/// # Errors
/// If a tensor operation fails.
pub fn clip(gradients: &mut Gradients, norm: f64, largest: f64) -> Result<()> {
    if norm > largest {
        for gradient in gradients.values_mut() {
            *gradient = (&*gradient * (largest / norm))?;
        }
    }
    Ok(())
}
