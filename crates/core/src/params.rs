//! Named, seeded parameters.
//!
//! A [`ParamStore`] owns a model's parameters, in one flat buffer. A recorded model says which it needs; each is drawn from a stream of its own
//! (seed, name), so that its first values depend on nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use candle_core::{Device, Tensor};
use looped_graph::{Graph, Init, ParamInfo};

use crate::{Flat, Layout, Result, Rng};

/// Writes the values that a parameter starts with.
fn draw(init: Init, values: &mut [f32], rng: &mut Rng) {
    values.fill_with(|| match init {
        Init::Zeros => 0.0,
        Init::Ones => 1.0,
        Init::Constant { value } => value,
        Init::Normal { std } => (std * rng.normal()) as f32,
        Init::Uniform { bound } => (bound * (2.0 * rng.uniform() - 1.0)) as f32,
    });
}

/// The parameters of one model, in this machine's memory.
#[derive(Debug)]
pub struct ParamStore {
    layout: Arc<Layout>,
    values: RwLock<Flat>,
    device: Device,
}

impl ParamStore {
    /// The parameters of a recorded model, drawn from `seed`. What candle computes with them, it computes on `device`.
    ///
    /// # Errors
    /// None so far: it is for parameters that lie on a device.
    pub fn new(graph: &Graph, seed: u64, device: &Device) -> Result<Self> {
        let layout = Arc::new(Layout::of(graph));
        let mut values = Flat::zeros(Arc::clone(&layout));
        for (ParamInfo { name, init, .. }, (_, values)) in graph.params().iter().zip(values.named_mut()) {
            draw(*init, values, &mut Rng::stream(seed, &format!("init {name}"), 0));
        }
        Ok(Self { layout, values: RwLock::new(values), device: device.clone() })
    }

    /// The device on which candle computes with the parameters.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Name, shape and place of each parameter.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// All values, to be read; nobody changes them meanwhile.
    pub fn values(&self) -> RwLockReadGuard<'_, Flat> {
        // Whoever panics while it writes leaves numbers, and those are values.
        self.values.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All values, to be changed; nobody reads them meanwhile.
    pub fn values_mut(&self) -> RwLockWriteGuard<'_, Flat> {
        self.values.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many numbers the parameters hold together.
    #[must_use]
    pub fn count(&self) -> usize {
        self.layout.count()
    }

    /// Replaces every value by that of the same name in `values`.
    ///
    /// # Errors
    /// If a name is missing or unknown, or a shape or type differs; then nothing was replaced.
    pub fn load(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        let values = Flat::from_tensors(Arc::clone(&self.layout), values)?;
        *self.values_mut() = values;
        Ok(())
    }

    /// Whether [`load`](Self::load) would take these values.
    ///
    /// # Errors
    /// If a name is missing, unknown, or of another shape or type; all of them are told.
    pub fn check(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        self.layout.check(values)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;
    use looped_graph::Trace;

    use super::*;

    fn values(store: &ParamStore, name: &str) -> Vec<f32> {
        store.values().get(name).unwrap().to_vec()
    }

    fn of(params: &[(&str, usize)], seed: u64) -> ParamStore {
        let trace = Trace::new();
        for (name, len) in params {
            trace.params().get(name, [*len], Init::Normal { std: 1.0 });
        }
        ParamStore::new(&trace.finish().unwrap(), seed, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_parameter_depends_on_its_seed_and_name_only() {
        let (one, two) = (of(&[("a.w", 6)], 7), of(&[("b.w", 6), ("a.w", 6)], 7));
        assert_eq!(values(&one, "a.w"), values(&two, "a.w"));
        assert_ne!(values(&two, "a.w"), values(&two, "b.w"));
        assert_ne!(values(&one, "a.w"), values(&of(&[("a.w", 6)], 8), "a.w"));
        assert_eq!(two.count(), 12);
    }

    #[test]
    fn loading_names_every_mismatch_and_changes_nothing() -> Result<()> {
        let store = of(&[("a", 2), ("b", 2)], 7);
        let before = values(&store, "a");
        let bad = BTreeMap::from([
            ("a".to_owned(), Tensor::zeros(3, DType::F32, &Device::Cpu)?),
            ("c".to_owned(), Tensor::zeros(2, DType::F32, &Device::Cpu)?),
        ]);
        let message = store.load(&bad).unwrap_err().to_string();
        for part in ["a has shape [3], the model needs [2]", "b is missing", "c is not in the model"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(values(&store, "a"), before);
        Ok(())
    }
}
