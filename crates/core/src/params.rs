//! Named, seeded parameters.
//!
//! A [`ParamStore`] owns a model's parameters, sorted by name. Blocks ask for theirs through [`Params`], a view with a
//! name prefix: the first build draws the initial values, each from a stream of its own (seed, name), and a later build
//! finds the same parameters again. A *frozen* build sees their values without recording gradients: candle has no
//! `no_grad`, so evaluation and the loops before the gradient window run on a frozen twin of the model.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Shape, Tensor, Var};
use looped_graph::{Graph, Init};

use crate::{Error, Result, Rng};

/// The values that a parameter starts with.
fn draw(init: Init, count: usize, rng: &mut Rng) -> Vec<f32> {
    match init {
        Init::Zeros => vec![0.0; count],
        Init::Ones => vec![1.0; count],
        Init::Normal { std } => (0..count).map(|_| (std * rng.normal()) as f32).collect(),
        Init::Uniform { bound } => (0..count).map(|_| (bound * (2.0 * rng.uniform() - 1.0)) as f32).collect(),
    }
}

/// The parameters of one model, sorted by name.
#[derive(Debug)]
pub struct ParamStore {
    vars: BTreeMap<String, Var>,
    /// Shapes alone, in a store that only outlines a model.
    outline: Option<BTreeMap<String, Shape>>,
    /// The names that the present build has asked for.
    asked: BTreeSet<String>,
    seed: u64,
    device: Device,
}

impl ParamStore {
    /// An empty store whose parameters will be drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { vars: BTreeMap::new(), outline: None, asked: BTreeSet::new(), seed, device: device.clone() }
    }

    /// A store that notes names and shapes and allocates nothing: what it hands out can't be computed with.
    pub(crate) fn outlining() -> Self {
        Self { outline: Some(BTreeMap::new()), ..Self::new(0, &Device::Cpu) }
    }

    /// The names and shapes noted by an outlining store.
    pub(crate) fn into_outline(self) -> BTreeMap<String, Shape> {
        self.outline.unwrap_or_default()
    }

    /// A view for one build of a model: it makes missing parameters and records gradients.
    pub fn trainable(&mut self) -> Params<'_> {
        self.asked.clear();
        Params { store: self, prefix: String::new(), frozen: false }
    }

    /// A view for one build on the same values that records no gradients; it follows later updates.
    pub fn frozen(&mut self) -> Params<'_> {
        self.asked.clear();
        Params { store: self, prefix: String::new(), frozen: true }
    }

    /// The parameters of a recorded model in the graph's order; those that the store doesn't hold yet are drawn.
    ///
    /// # Errors
    /// If one exists with another shape.
    pub fn of_graph(&mut self, graph: &Graph) -> Result<Vec<Var>> {
        let mut build = self.trainable();
        for info in graph.params() {
            build.get(&info.name, info.dims.as_slice(), info.init)?;
        }
        Ok(graph.params().iter().map(|info| self.vars[&info.name].clone()).collect())
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

/// A view of a [`ParamStore`] below a name prefix.
#[derive(Debug)]
pub struct Params<'a> {
    store: &'a mut ParamStore,
    prefix: String,
    frozen: bool,
}

impl Params<'_> {
    /// The view below `name`: its parameters are called `prefix.name.*`.
    #[must_use]
    pub fn scope(&mut self, name: impl std::fmt::Display) -> Params<'_> {
        let prefix = self.full_name(&name.to_string());
        Params { store: self.store, prefix, frozen: self.frozen }
    }

    /// The parameter `name` below this prefix, drawn by `init` if it's new.
    ///
    /// # Errors
    /// If this build has asked for it before (see [`Params::shared`]), it exists with another shape, or a frozen view asks
    /// for a parameter that no build has made.
    pub fn get(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor> {
        let full = self.full_name(name);
        if self.store.asked.contains(&full) {
            return Err(Error::Parameters(format!(
                "{full} is asked for twice in one build, so two layers would share it; \
                 give each layer a scope of its own, or ask by Params::shared if they are to share it"
            )));
        }
        self.shared(name, shape, init)
    }

    /// As [`Params::get`], for a parameter that several layers share on purpose: each asks for it by its one full name.
    ///
    /// # Errors
    /// As [`Params::get`], but for asking again.
    pub fn shared(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor> {
        let (name, shape) = (self.full_name(name), shape.into());
        self.store.asked.insert(name.clone());
        if let Some(outline) = &mut self.store.outline {
            outline.insert(name, shape.clone());
            return Ok(Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)?);
        }
        if !self.store.vars.contains_key(&name) {
            if self.frozen {
                return Err(Error::Parameters(format!(
                    "{name} does not exist yet; build the trainable model first"
                )));
            }
            let mut rng = Rng::stream(self.store.seed, &format!("init {name}"), 0);
            let values = draw(init, shape.elem_count(), &mut rng);
            let var = Var::from_vec(values, shape.clone(), &self.store.device)?;
            self.store.vars.insert(name.clone(), var);
        }
        let var = &self.store.vars[&name];
        if var.shape() != &shape {
            return Err(Error::Parameters(format!(
                "{name} has shape {:?}, asked for as {shape:?}",
                var.shape()
            )));
        }
        Ok(if self.frozen { var.as_detached_tensor() } else { var.as_tensor().clone() })
    }

    /// The device of the parameters.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.store.device
    }

    fn full_name(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(store: &ParamStore, name: &str) -> Vec<f32> {
        store.get(name).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_parameter_depends_on_its_seed_and_name_only() -> Result<()> {
        let init = Init::Normal { std: 1.0 };
        let mut one = ParamStore::new(7, &Device::Cpu);
        one.trainable().scope("a").get("w", (2, 3), init)?;
        let mut two = ParamStore::new(7, &Device::Cpu);
        two.trainable().scope("b").get("w", (2, 3), init)?;
        two.trainable().scope("a").get("w", (2, 3), init)?;
        assert_eq!(values(&one, "a.w"), values(&two, "a.w"));
        assert_ne!(values(&two, "a.w"), values(&two, "b.w"));
        assert_eq!(two.count(), 12);
        Ok(())
    }

    #[test]
    fn a_frozen_view_follows_updates_and_records_nothing() -> Result<()> {
        let mut store = ParamStore::new(7, &Device::Cpu);
        assert!(store.frozen().get("w", 2, Init::Ones).is_err());
        let live = store.trainable().get("w", 2, Init::Ones)?;
        let frozen = store.frozen().get("w", 2, Init::Ones)?;
        assert!(live.sqr()?.track_op() && !frozen.sqr()?.track_op());
        store.get("w").unwrap().set(&Tensor::new(&[3f32, 4.0], &Device::Cpu)?)?;
        assert_eq!(frozen.to_vec1::<f32>()?, [3.0, 4.0]);
        Ok(())
    }

    /// Two layers that were given one scope by a slip would train as one layer.
    #[test]
    fn a_name_asked_for_twice_in_one_build_is_an_error_unless_shared_on_purpose() -> Result<()> {
        let init = Init::Ones;
        for mut store in [ParamStore::new(7, &Device::Cpu), ParamStore::outlining()] {
            let mut build = store.trainable();
            build.scope("ln").get("weight", 2, init)?;
            let message = build.scope("ln").get("weight", 2, init).unwrap_err().to_string();
            assert!(message.contains("ln.weight is asked for twice in one build"), "{message}");
            build.scope("ln").shared("weight", 2, init)?;
            build.shared("tied", 3, init)?;
            build.shared("tied", 3, init)?;
            assert!(build.get("tied", 3, init).is_err());
            // The next build asks for the same ones.
            store.trainable().scope("ln").get("weight", 2, init)?;
        }
        Ok(())
    }

    #[test]
    fn loading_names_every_mismatch_and_changes_nothing() -> Result<()> {
        let mut store = ParamStore::new(7, &Device::Cpu);
        store.trainable().get("a", 2, Init::Ones)?;
        store.trainable().get("b", 2, Init::Ones)?;
        let bad = BTreeMap::from([
            ("a".to_owned(), Tensor::zeros(3, DType::F32, &Device::Cpu)?),
            ("c".to_owned(), Tensor::zeros(2, DType::F32, &Device::Cpu)?),
        ]);
        let message = store.load(&bad).unwrap_err().to_string();
        for part in ["a has shape [3], the model needs [2]", "b is missing", "c is not in the model"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(values(&store, "a"), [1.0, 1.0]);
        Ok(())
    }
}
