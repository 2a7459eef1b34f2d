//! Named, seeded parameters.
//!
//! A [`ParamStore`] owns a model's parameters, sorted by name. A recorded model says which it needs; each is drawn from a stream of its own
//! (seed, name), so that its first values depend on nothing else.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use looped_graph::{Graph, Init, ParamInfo};

use crate::{Error, Result, Rng};

/// The values that a parameter starts with.
fn draw(init: Init, count: usize, rng: &mut Rng) -> Vec<f32> {
    match init {
        Init::Zeros => vec![0.0; count],
        Init::Ones => vec![1.0; count],
        Init::Constant { value } => vec![value; count],
        Init::Normal { std } => (0..count).map(|_| (std * rng.normal()) as f32).collect(),
        Init::Uniform { bound } => (0..count).map(|_| (bound * (2.0 * rng.uniform() - 1.0)) as f32).collect(),
    }
}

/// The parameters of one model, sorted by name.
#[derive(Debug)]
pub struct ParamStore {
    vars: BTreeMap<String, Var>,
    device: Device,
}

impl ParamStore {
    /// The parameters of a recorded model, drawn from `seed`.
    ///
    /// # Errors
    /// If the device has no room for them.
    pub fn new(graph: &Graph, seed: u64, device: &Device) -> Result<Self> {
        let mut vars = BTreeMap::new();
        for ParamInfo { name, dims, init, .. } in graph.params() {
            let mut rng = Rng::stream(seed, &format!("init {name}"), 0);
            let values = draw(*init, dims.iter().product(), &mut rng);
            vars.insert(name.clone(), Var::from_vec(values, dims.as_slice(), device)?);
        }
        Ok(Self { vars, device: device.clone() })
    }

    /// The device the parameters live on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Name and variable of each parameter, in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.vars.iter().map(|(name, var)| (name.as_str(), var))
    }

    /// The parameter called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.vars.get(name)
    }

    /// How many numbers the parameters hold together.
    #[must_use]
    pub fn count(&self) -> usize {
        self.vars.values().map(|var| var.elem_count()).sum()
    }

    /// Replaces every value by that of the same name in `values`.
    ///
    /// # Errors
    /// If a name is missing or unknown, or a shape or type differs; then nothing was replaced.
    pub fn load(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        self.check(values)?;
        // All that can fail comes first. A copy, since a variable can't be set to a tensor that shares its memory.
        let copies = self.vars.keys().map(|name| values[name].to_device(&self.device)?.copy());
        let copies = copies.collect::<candle_core::Result<Vec<_>>>()?;
        for (var, value) in self.vars.values().zip(&copies) {
            var.set(value)?;
        }
        Ok(())
    }

    /// Whether [`load`](Self::load) would take these values.
    ///
    /// # Errors
    /// If a name is missing, unknown, or of another shape or type; all of them are told.
    pub fn check(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut wrong = Vec::new();
        for (name, var) in &self.vars {
            match values.get(name) {
                None => wrong.push(format!("{name} is missing (expected shape {:?})", var.dims())),
                Some(value) if value.dims() != var.dims() => {
                    wrong.push(format!(
                        "{name} has shape {:?}, the model needs {:?}",
                        value.dims(),
                        var.dims()
                    ));
                }
                Some(value) if value.dtype() != DType::F32 => {
                    wrong.push(format!("{name} holds {:?}, the model needs F32", value.dtype()));
                }
                Some(_) => {}
            }
        }
        wrong.extend(
            values.keys().filter(|n| !self.vars.contains_key(*n)).map(|n| format!("{n} is not in the model")),
        );
        if !wrong.is_empty() {
            return Err(Error::Parameters(wrong.join("\n")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use looped_graph::Trace;

    use super::*;

    fn values(store: &ParamStore, name: &str) -> Vec<f32> {
        store.get(name).unwrap().flatten_all().unwrap().to_vec1().unwrap()
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
