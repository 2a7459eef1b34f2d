//! The Adam optimiser (Kingma and Ba, arXiv 1412.6980, algorithm 1), its moments open to checkpoints.

use std::collections::BTreeMap;

use candle_core::{CpuStorage, Storage, Tensor, Var};
use looped_core::ParamStore;

use crate::Result;
use crate::adam_cpu::{BETA_1, BETA_2, Descent, EPS};

/// A gradient for each parameter, by name.
pub type Gradients = BTreeMap<String, Tensor>;

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

    /// The learning rate of the next update.
    #[must_use]
    pub const fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Sets the learning rate from the next update on.
    pub const fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    /// Updates every parameter.
    ///
    /// # Errors
    /// If a gradient is missing or has another shape; then nothing was updated. If a tensor operation fails.
    pub fn update(&mut self, store: &ParamStore, gradients: &Gradients) -> Result<()> {
        let updated = store.iter().map(|(name, parameter)| {
            let found = gradients.get(name).filter(|gradient| gradient.shape() == parameter.shape());
            found.map(|gradient| (name, parameter, gradient)).ok_or_else(|| {
                let shape = parameter.dims();
                looped_core::Error::Parameters(format!("{name} has no gradient of its shape, {shape:?}"))
            })
        });
        let updated = updated.collect::<looped_core::Result<Vec<_>>>()?;
        self.updates += 1;
        let t = self.updates as f64;
        let descent = Descent {
            step_size: self.learning_rate / (1.0 - libm::pow(BETA_1, t)),
            second_scale: 1.0 / (1.0 - libm::pow(BETA_2, t)).sqrt(),
        };
        for (name, parameter, gradient) in updated {
            let Moments { first, second } = &self.moments[name];
            let decayed;
            let gradient = if self.weight_decay == 0.0 {
                gradient
            } else {
                decayed = (gradient + (parameter.as_tensor() * self.weight_decay)?)?;
                &decayed
            };
            if parameter.device().is_cpu() {
                descent.update([parameter, first, second].map(Var::as_tensor), gradient)?;
            } else {
                descend(&descent, [parameter, first, second], gradient)?;
            }
        }
        Ok(())
    }

    /// A copy of the moments under `first.NAME` and `second.NAME`, and the number of updates made: all that a resume needs.
    ///
    /// # Errors
    /// If the device has no room for it.
    pub fn state(&self) -> Result<(BTreeMap<String, Tensor>, usize)> {
        let mut state = BTreeMap::new();
        for (name, Moments { first, second }) in &self.moments {
            for (kind, var) in [("first", first), ("second", second)] {
                state.insert(format!("{kind}.{name}"), var.copy()?.detach());
            }
        }
        Ok((state, self.updates))
    }

    /// The same optimiser as it was when it gave this [`Adam::state`].
    ///
    /// # Errors
    /// If a moment is missing, unknown or has another shape.
    pub fn restored(&self, tensors: &BTreeMap<String, Tensor>, updates: usize) -> Result<Self> {
        let refused = |what: String| looped_core::Error::Parameters(what);
        if let Some(key) = tensors.keys().find(|key| !self.has(key)) {
            return Err(refused(format!("moment {key} belongs to no parameter")).into());
        }
        let moment = |kind: &str, name: &str, now: &Var| -> Result<Var> {
            let key = format!("{kind}.{name}");
            let value = tensors
                .get(&key)
                .filter(|value| value.shape() == now.shape() && value.dtype() == now.dtype())
                .ok_or_else(|| refused(format!("moment {key} is missing, or has another shape or type")))?;
            Ok(Var::from_tensor(&value.to_device(now.device())?.copy()?)?)
        };
        let moments = self.moments.iter().map(|(name, now)| {
            let first = moment("first", name, &now.first)?;
            Ok((name.clone(), Moments { first, second: moment("second", name, &now.second)? }))
        });
        let moments = moments.collect::<Result<_>>()?;
        Ok(Self { learning_rate: self.learning_rate, weight_decay: self.weight_decay, updates, moments })
    }

    /// Whether `key` is `first.NAME` or `second.NAME` of a parameter.
    fn has(&self, key: &str) -> bool {
        key.split_once('.').is_some_and(|(kind, name)| {
            ["first", "second"].contains(&kind) && self.moments.contains_key(name)
        })
    }
}

/// [`Descent::update`] as operations that every device has.
fn descend(descent: &Descent, [parameter, first, second]: [&Var; 3], gradient: &Tensor) -> Result<()> {
    let first_now = ((first.as_tensor() * BETA_1)? + (gradient * (1.0 - BETA_1))?)?;
    let second_now = ((second.as_tensor() * BETA_2)? + (gradient.sqr()? * (1.0 - BETA_2))?)?;
    let denominator = ((second_now.sqrt()? * descent.second_scale)? + EPS)?;
    let change = (first_now.div(&denominator)? * descent.step_size)?;
    parameter.set(&(parameter.as_tensor() - change)?)?;
    first.set(&first_now)?;
    second.set(&second_now)?;
    Ok(())
}

/// The Euclidean norm over all gradients together.
///
/// # Errors
/// If a tensor operation fails.
pub fn global_norm(gradients: &Gradients) -> Result<f64> {
    let (mut squares, mut elsewhere) = (0.0, Vec::new());
    for gradient in gradients.values() {
        match sum_of_squares(gradient) {
            Some(sum) => squares += sum,
            None => elsewhere.push(gradient.sqr()?.sum_all()?),
        }
    }
    if !elsewhere.is_empty() {
        // One copy back for all, since the host waits for the device at each.
        squares += Tensor::stack(&elsewhere, 0)?.to_vec1::<f32>()?.into_iter().map(f64::from).sum::<f64>();
    }
    Ok(squares.sqrt())
}

/// Of a gradient that lies in the host's memory in one piece.
fn sum_of_squares(gradient: &Tensor) -> Option<f64> {
    let (storage, layout) = gradient.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(all)), Some((start, end))) => {
            // A small sum at a time, so that rounding stays small.
            let sums = all[start..end].chunks(256).map(|some| some.iter().map(|g| g * g).sum::<f32>());
            Some(sums.map(f64::from).sum())
        }
        _ => None,
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use looped_core::Init;
    use looped_graph::Trace;
    use proptest::prelude::*;

    #[test]
    fn the_norm_counts_gradients_in_one_piece_and_others() {
        let numbers: Vec<f32> = (0..1200).map(|i| (i % 7) as f32 - 3.0).collect();
        let whole = Tensor::from_vec(numbers.clone(), (30, 40), &Device::Cpu).unwrap();
        let expected = (3.0 * numbers.iter().map(|x| f64::from(x * x)).sum::<f64>()).sqrt();
        let turned = whole.t().unwrap();
        assert!(!turned.is_contiguous());
        let gradients = [("a", whole), ("b", turned.clone()), ("c", turned)];
        let gradients = gradients.map(|(name, gradient)| (name.to_owned(), gradient)).into();
        let norm = global_norm(&gradients).unwrap();
        assert!((norm / expected - 1.0).abs() < 1e-6, "{norm} for {expected}");
    }

    #[test]
    fn an_update_that_fails_changes_and_counts_nothing() {
        let trace = Trace::new();
        trace.params().get("a", [2], Init::Ones);
        trace.params().get("b", [3], Init::Ones);
        let store = ParamStore::new(&trace.finish().unwrap(), 1, &Device::Cpu).unwrap();
        let mut adam = Adam::new(&store, 0.1, 0.0).unwrap();
        let ones = |count: usize| Tensor::ones(count, DType::F32, &Device::Cpu).unwrap();
        let good = Gradients::from([("a".to_owned(), ones(2)), ("b".to_owned(), ones(3))]);
        adam.update(&store, &good).unwrap();
        let a = |store: &ParamStore| store.get("a").unwrap().to_vec1::<f32>().unwrap();
        let before = a(&store);
        for bad in [
            Gradients::from([("a".to_owned(), ones(2))]),
            Gradients::from([("a".to_owned(), ones(2)), ("b".to_owned(), ones(4))]),
        ] {
            let message = adam.update(&store, &bad).unwrap_err().to_string();
            assert!(message.contains("b has no gradient of its shape, [3]"), "{message}");
            assert_eq!((a(&store), adam.state().unwrap().1), (before.clone(), 1));
        }
    }

    proptest! {
        #[test]
        fn in_place_and_composed_updates_are_equal(
            values in prop::collection::vec([-2f32..2.0, -2f32..2.0, -2f32..2.0, 0f32..2.0], 1..70),
            updates in 1i32..5,
        ) {
            let column = |i: usize| {
                let column: Vec<f32> = values.iter().map(|row| row[i]).collect();
                Var::from_vec(column, values.len(), &Device::Cpu).unwrap()
            };
            let gradient = column(0);
            let [here, everywhere] = [0, 1].map(|_| [column(1), column(2), column(3)]);
            let descent = Descent {
                step_size: 1e-2 / (1.0 - BETA_1.powi(updates)),
                second_scale: 1.0 / (1.0 - BETA_2.powi(updates)).sqrt(),
            };
            descent.update(here.each_ref().map(Var::as_tensor), &gradient).unwrap();
            descend(&descent, everywhere.each_ref(), &gradient).unwrap();
            for (here, everywhere) in here.iter().zip(&everywhere) {
                let [here, everywhere] = [here, everywhere].map(|var| var.to_vec1::<f32>().unwrap());
                for (a, b) in here.iter().zip(&everywhere) {
                    prop_assert!((a - b).abs() <= 1e-6 * a.abs().max(1e-3), "{a} and {b}");
                }
            }
        }
    }
}
