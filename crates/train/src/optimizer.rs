//! Optimisers: what runs a rule over all parameters, and keeps what it needs.

mod adam;
mod adamw;
mod in_place;
mod muon;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use candle_core::{DType, Tensor, Var};
use looped_core::{Kept, Optimizer, ParamStore, Parameter, Role, Update, roles};
use looped_graph::Graph;

pub use adam::Adam;
pub use adamw::AdamW;
pub(crate) use in_place::average;
pub use muon::{Muon, Scale};

use crate::{Gradients, Result};

/// An optimiser at work: its rule, and what it keeps for each parameter.
#[derive(Debug)]
pub struct Updater {
    rule: Arc<dyn Optimizer>,
    /// This times a parameter joins its gradient; 0 unless the rule takes it.
    decay: f64,
    updates: usize,
    slots: BTreeMap<String, Slot>,
}

/// What belongs to one parameter.
#[derive(Debug)]
struct Slot {
    dims: Vec<usize>,
    role: Role,
    /// Values beside their names.
    kept: Vec<(&'static str, Var)>,
}

impl Slot {
    fn parameter<'a>(&'a self, name: &'a str) -> Parameter<'a> {
        Parameter { name, dims: &self.dims, role: self.role }
    }
}

impl Updater {
    /// An optimiser that has made no update: for the parameters of `store`, which are those of `graph`. `weight_decay` joins the
    /// gradient where the rule takes it.
    ///
    /// # Errors
    /// If the device has no room for what it keeps.
    pub fn new(
        rule: Arc<dyn Optimizer>,
        graph: &Graph,
        store: &ParamStore,
        weight_decay: f64,
    ) -> Result<Self> {
        let roles = graph.params().iter().map(|info| info.name.as_str()).zip(roles(graph));
        let roles: HashMap<&str, Role> = roles.collect();
        let slot = |(name, var): (&str, &Var)| {
            let role = roles.get(name).copied().unwrap_or(Role::Other);
            let mut slot = Slot { dims: var.dims().to_vec(), role, kept: Vec::new() };
            for Kept { name, dims } in rule.keeps(slot.parameter(name)) {
                slot.kept.push((name, Var::zeros(dims, DType::F32, var.device())?));
            }
            Ok((name.to_owned(), slot))
        };
        let slots = store.iter().map(slot).collect::<Result<_>>()?;
        let decay = if rule.adds_decay() { weight_decay } else { 0.0 };
        Ok(Self { rule, decay, updates: 0, slots })
    }

    /// Updates every parameter.
    ///
    /// # Errors
    /// If a gradient is missing or has another shape; then nothing was updated. If a tensor operation fails.
    pub fn update(&mut self, store: &ParamStore, gradients: &Gradients, learning_rate: f64) -> Result<()> {
        let updated = store.iter().map(|(name, parameter)| {
            let found = gradients.get(name).filter(|gradient| gradient.shape() == parameter.shape());
            found.map(|gradient| (name, parameter, gradient)).ok_or_else(|| {
                let shape = parameter.dims();
                looped_core::Error::Parameters(format!("{name} has no gradient of its shape, {shape:?}"))
            })
        });
        let updated = updated.collect::<looped_core::Result<Vec<_>>>()?;
        self.updates += 1;
        let update = Update { learning_rate, number: self.updates };
        for (name, value, gradient) in updated {
            let slot = &self.slots[name];
            let kept: Vec<Var> = slot.kept.iter().map(|(_, var)| var.clone()).collect();
            let decayed;
            let gradient = if self.decay == 0.0 {
                gradient
            } else {
                decayed = (gradient + (value.as_tensor() * self.decay)?)?;
                &decayed
            };
            self.rule.update(slot.parameter(name), update, value, &kept, gradient)?;
        }
        Ok(())
    }

    /// The betas and the eps of Adam, if the rule is that.
    pub(crate) fn as_adam(&self) -> Option<([f64; 2], f64)> {
        self.rule.as_adam()
    }

    /// This times a parameter joins its gradient.
    pub(crate) fn decay(&self) -> f64 {
        self.decay
    }

    /// Updates made.
    #[must_use]
    pub fn updates(&self) -> usize {
        self.updates
    }

    /// A copy of what is kept, under `WHAT.NAME`, and the number of updates made: all that a resume needs.
    ///
    /// # Errors
    /// If the device has no room for it.
    pub fn state(&self) -> Result<(BTreeMap<String, Tensor>, usize)> {
        let mut state = BTreeMap::new();
        for (name, slot) in &self.slots {
            for (what, var) in &slot.kept {
                state.insert(format!("{what}.{name}"), var.copy()?.detach());
            }
        }
        Ok((state, self.updates))
    }

    /// The same optimiser as it was when it gave this [`Updater::state`].
    ///
    /// # Errors
    /// If a value is missing, unknown or has another shape.
    pub fn restored(&self, tensors: &BTreeMap<String, Tensor>, updates: usize) -> Result<Self> {
        let refused = |what: String| looped_core::Error::Parameters(what);
        if let Some(key) = tensors.keys().find(|key| !self.has(key)) {
            return Err(refused(format!("moment {key} belongs to no parameter")).into());
        }
        let restored = |what: &'static str, name: &str, now: &Var| -> Result<(&'static str, Var)> {
            let key = format!("{what}.{name}");
            let value = tensors
                .get(&key)
                .filter(|value| value.shape() == now.shape() && value.dtype() == now.dtype())
                .ok_or_else(|| refused(format!("moment {key} is missing, or has another shape or type")))?;
            Ok((what, Var::from_tensor(&value.to_device(now.device())?.copy()?)?))
        };
        let slots = self.slots.iter().map(|(name, slot)| {
            let kept =
                slot.kept.iter().map(|(what, now)| restored(what, name, now)).collect::<Result<_>>()?;
            Ok((name.clone(), Slot { dims: slot.dims.clone(), role: slot.role, kept }))
        });
        let slots = slots.collect::<Result<_>>()?;
        Ok(Self { rule: Arc::clone(&self.rule), decay: self.decay, updates, slots })
    }

    /// Whether something is kept under `key`.
    fn has(&self, key: &str) -> bool {
        key.split_once('.').is_some_and(|(what, name)| {
            self.slots.get(name).is_some_and(|slot| slot.kept.iter().any(|(known, _)| *known == what))
        })
    }
}

/// Numbers that an optimiser keeps for the parameters of a model.
pub(crate) fn numbers_kept(rule: &dyn Optimizer, graph: &Graph) -> usize {
    let of = |(info, role): (&looped_graph::ParamInfo, Role)| -> usize {
        let kept = rule.keeps(Parameter { name: &info.name, dims: &info.dims, role });
        kept.iter().map(|kept| kept.dims.iter().product::<usize>()).sum()
    };
    graph.params().iter().zip(roles(graph)).map(of).sum()
}

/// The optimiser of a training that names none.
#[must_use]
pub fn default_optimizer() -> Arc<dyn Optimizer> {
    Arc::new(Adam::default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use candle_core::Device;
    use looped_core::Init;
    use looped_graph::{Linear, Trace};
    use proptest::prelude::*;

    use super::in_place::{Average, Descent};

    fn ones(count: usize) -> Tensor {
        Tensor::ones(count, DType::F32, &Device::Cpu).unwrap()
    }

    #[test]
    fn an_update_that_fails_changes_and_counts_nothing() {
        let trace = Trace::new();
        trace.params().get("a", [2], Init::Ones);
        trace.params().get("b", [3], Init::Ones);
        let graph = trace.finish().unwrap();
        let store = ParamStore::new(&graph, 1, &Device::Cpu).unwrap();
        let mut updater = Updater::new(default_optimizer(), &graph, &store, 0.0).unwrap();
        let good = Gradients::from([("a".to_owned(), ones(2)), ("b".to_owned(), ones(3))]);
        updater.update(&store, &good, 0.1).unwrap();
        let a = |store: &ParamStore| store.get("a").unwrap().to_vec1::<f32>().unwrap();
        let before = a(&store);
        for bad in [
            Gradients::from([("a".to_owned(), ones(2))]),
            Gradients::from([("a".to_owned(), ones(2)), ("b".to_owned(), ones(4))]),
        ] {
            let message = updater.update(&store, &bad, 0.1).unwrap_err().to_string();
            assert!(message.contains("b has no gradient of its shape, [3]"), "{message}");
            assert_eq!((a(&store), updater.state().unwrap().1), (before.clone(), 1));
        }
    }

    /// With gradients of 0 only the decay moves anything, and only the weights of products.
    #[test]
    fn decoupled_decay_shrinks_weights_of_products_alone() {
        let trace = Trace::new();
        let params = trace.params();
        let layer = Linear::new(2, 3, Init::Ones, Init::Ones, &mut params.scope("h"));
        let end = Linear::new(3, 1, Init::Ones, Init::Ones, &mut params.scope("_read_out"));
        let table = params.scope("wpe").get("weight", [4, 2], Init::Ones);
        trace.read(trace.input(2).positions(table).linear(&layer).linear(&end));
        let graph = trace.finish().unwrap();
        for rule in [
            Arc::new(AdamW { weight_decay: 0.5, ..AdamW::default() }) as Arc<dyn Optimizer>,
            Arc::new(Muon { weight_decay: 0.5, ..Muon::default() }),
        ] {
            let store = ParamStore::new(&graph, 1, &Device::Cpu).unwrap();
            let zeros = store.iter().map(|(name, var)| (name.to_owned(), var.zeros_like().unwrap()));
            let mut updater = Updater::new(Arc::clone(&rule), &graph, &store, 0.0).unwrap();
            updater.update(&store, &zeros.collect(), 0.2).unwrap();
            for (name, var) in store.iter() {
                let expected = if ["h.weight", "_read_out.weight"].contains(&name) { 0.9 } else { 1.0 };
                let values = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert!(values.iter().all(|v| *v == expected), "{rule:?}: {name} is {values:?}");
            }
            let (state, _) = updater.state().unwrap();
            let of_matrix = state.keys().filter(|key| key.ends_with(".h.weight")).count();
            let of_end = state.keys().filter(|key| key.ends_with("._read_out.weight")).count();
            assert_eq!((of_matrix, of_end), (if rule.typetag_name() == "muon" { 1 } else { 2 }, 2));
            assert_eq!(numbers_kept(&*rule, &graph), state.values().map(Tensor::elem_count).sum::<usize>());
        }
    }

    proptest! {
        #[test]
        fn in_place_and_composed_updates_are_equal(
            values in prop::collection::vec([-2f32..2.0, -2f32..2.0, 0f32..2.0], 1..70),
            updates in 1i32..5,
            shrink in 0f64..0.1,
        ) {
            let column = |i: usize| {
                let column: Vec<f32> = values.iter().map(|row| row[i]).collect();
                Var::from_vec(column, values.len(), &Device::Cpu).unwrap()
            };
            let (first, second) = (column(1), column(2));
            let [here, everywhere] = [0, 1].map(|_| column(0));
            let descent = Descent {
                step_size: 1e-2 / (1.0 - 0.9f64.powi(updates)),
                second_scale: 1.0 / (1.0 - 0.999f64.powi(updates)).sqrt(),
                eps: 1e-8,
                shrink,
            };
            here.inplace_op3(&first, &second, &descent).unwrap();
            descent.composed(&everywhere, &first, &second).unwrap();
            let [here, everywhere] = [here, everywhere].map(|var| var.to_vec1::<f32>().unwrap());
            for (a, b) in here.iter().zip(&everywhere) {
                prop_assert!((a - b).abs() <= 1e-6 * a.abs().max(1e-3), "{a} and {b}");
            }
            let squares = Average { keep: 0.75, squared: true };
            second.inplace_op2(first.as_tensor(), &squares).unwrap();
            let (found, m) = (second.to_vec1::<f32>().unwrap(), first.to_vec1::<f32>().unwrap());
            for ((found, row), m) in found.iter().zip(&values).zip(m) {
                prop_assert!((found - (0.75 * row[2] + 0.25 * m * m)).abs() < 1e-6);
            }
        }
    }
}
