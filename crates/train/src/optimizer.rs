//! Optimisers: what runs a rule over all parameters, and keeps what it needs.

mod adam;
mod adamw;
mod muon;
mod orthogonal;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use looped_core::{Flat, Kept, Layout, Optimizer, ParamStore, Parameter, Place, Role, Update, roles};
use looped_graph::Graph;
use rayon::prelude::*;

pub use adam::Adam;
pub(crate) use adam::average;
pub use adamw::AdamW;
pub use muon::{Muon, Scale};

use crate::{Gradients, Result};

/// From so many numbers on, parameters are updated by several threads: fewer take less time than it takes to wake one.
const SHARED_FROM: usize = 1 << 16;

/// An optimiser at work: its rule, and what it keeps for each parameter.
#[derive(Debug)]
pub struct Updater {
    rule: Arc<dyn Optimizer>,
    /// This times a parameter joins its gradient; 0 unless the rule takes it.
    decay: f64,
    updates: usize,
    /// The parameters' places, and what each is for.
    layout: Arc<Layout>,
    roles: Vec<Role>,
    /// What is kept, by its name: of those parameters that keep it, in the parameters' order.
    kept: BTreeMap<&'static str, Flat>,
}

/// One parameter's part of an update.
struct Part<'a> {
    parameter: Parameter<'a>,
    value: &'a mut [f32],
    kept: Vec<&'a mut [f32]>,
    gradient: &'a [f32],
}

impl Updater {
    /// An optimiser that has made no update: for the parameters of `store`, which are those of `graph`. `weight_decay` joins the
    /// gradient where the rule takes it.
    ///
    /// # Errors
    /// If they aren't.
    pub fn new(
        rule: Arc<dyn Optimizer>,
        graph: &Graph,
        store: &ParamStore,
        weight_decay: f64,
    ) -> Result<Self> {
        let (layout, roles) = (Arc::clone(store.layout()), roles(graph));
        if *layout != Layout::of(graph) {
            return Err(refused("they aren't those of the graph".to_owned()));
        }
        let mut named: BTreeMap<&'static str, Vec<(String, Vec<usize>)>> = BTreeMap::new();
        for (place, role) in layout.places().iter().zip(&roles) {
            for Kept { name, dims } in rule.keeps(parameter(place, *role)) {
                named.entry(name).or_default().push((place.name.clone(), dims));
            }
        }
        let zeros = |(what, of)| (what, Flat::zeros(Arc::new(Layout::new(of))));
        let kept = named.into_iter().map(zeros).collect();
        let decay = if rule.adds_decay() { weight_decay } else { 0.0 };
        Ok(Self { rule, decay, updates: 0, layout, roles, kept })
    }

    /// Updates every parameter; many on rayon's threads, to the same bits.
    ///
    /// # Errors
    /// If a gradient is missing or has another shape, or these are other parameters; then nothing was updated. If the rule can't update one.
    pub fn update(&mut self, store: &ParamStore, gradients: &Gradients, learning_rate: f64) -> Result<()> {
        let mut values = store.values_mut();
        if *values.layout() != self.layout {
            return Err(refused("they aren't those that the optimiser was made for".to_owned()));
        }
        let gradient = |place: &Place| {
            let found = gradients.layout().find(&place.name).filter(|found| found.dims == place.dims);
            let missing =
                || refused(format!("{} has no gradient of its shape, {:?}", place.name, place.dims));
            Ok(&gradients[found.ok_or_else(missing)?.range.clone()])
        };
        let gradients = self.layout.places().iter().map(gradient).collect::<Result<Vec<_>>>()?;
        self.updates += 1;
        let (rule, decay) = (&*self.rule, self.decay as f32);
        let update = Update { learning_rate, number: self.updates };
        let mut kept: BTreeMap<_, _> =
            self.kept.iter_mut().map(|(what, flat)| (*what, flat.named_mut().map(|(_, own)| own))).collect();
        let mut parts = Vec::with_capacity(gradients.len());
        for (((place, value), role), gradient) in values.named_mut().zip(&self.roles).zip(gradients) {
            let parameter = parameter(place, *role);
            // Each is of the parameters that keep it, in their order: the next one is this parameter's.
            let own = rule.keeps(parameter).into_iter();
            let kept = own.filter_map(|own| kept.get_mut(own.name)?.next()).collect();
            parts.push(Part { parameter, value, kept, gradient });
        }
        let run = |part: Part<'_>| {
            let Part { parameter, value, mut kept, gradient } = part;
            if decay == 0.0 {
                return rule.update(parameter, update, value, &mut kept, gradient);
            }
            let decayed: Vec<f32> =
                gradient.iter().zip(&*value).map(|(g, value)| g + decay * value).collect();
            rule.update(parameter, update, value, &mut kept, &decayed)
        };
        if self.layout.len() < SHARED_FROM {
            parts.into_iter().try_for_each(run)?;
        } else {
            parts.into_par_iter().try_for_each(run)?;
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

    /// Adam's moments, if that is what is kept.
    pub(crate) fn moments(&self) -> Option<[&Flat; 2]> {
        Some([self.kept.get("first")?, self.kept.get("second")?])
    }

    /// Goes on from Adam's moments after so many updates.
    pub(crate) fn set_moments(&mut self, [first, second]: [Flat; 2], updates: usize) {
        self.kept = BTreeMap::from([("first", first), ("second", second)]);
        self.updates = updates;
    }

    /// A copy of what is kept, under `WHAT.NAME`, and the number of updates made: all that a resume needs.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn state(&self) -> Result<(BTreeMap<String, Tensor>, usize)> {
        Ok((named(self.kept.iter().map(|(what, flat)| (*what, flat)))?, self.updates))
    }

    /// The same optimiser as it was when it gave this [`Updater::state`].
    ///
    /// # Errors
    /// If a value is missing, unknown or has another shape.
    pub fn restored(&self, tensors: &BTreeMap<String, Tensor>, updates: usize) -> Result<Self> {
        if let Some(key) = tensors.keys().find(|key| !self.has(key)) {
            return Err(refused(format!("moment {key} belongs to no parameter")));
        }
        let mut kept = self.kept.clone();
        for (what, flat) in &mut kept {
            for (place, values) in flat.named_mut() {
                let key = format!("{what}.{}", place.name);
                let fits = |value: &&Tensor| value.dims() == place.dims && value.dtype() == DType::F32;
                let missing = || refused(format!("moment {key} is missing, or has another shape or type"));
                let value = tensors.get(&key).filter(fits).ok_or_else(missing)?;
                values.copy_from_slice(&value.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        let (rule, layout) = (Arc::clone(&self.rule), Arc::clone(&self.layout));
        Ok(Self { rule, decay: self.decay, updates, layout, roles: self.roles.clone(), kept })
    }

    /// Whether something is kept under `key`.
    fn has(&self, key: &str) -> bool {
        let found = |(what, name)| self.kept.get(what)?.get(name);
        key.split_once('.').is_some_and(|key| found(key).is_some())
    }
}

fn parameter(place: &Place, role: Role) -> Parameter<'_> {
    Parameter { name: &place.name, dims: &place.dims, role }
}

fn refused(what: String) -> crate::TrainError {
    looped_core::Error::Parameters(what).into()
}

/// What is kept of each parameter, under `WHAT.NAME`.
///
/// # Errors
/// If there is no room for it.
pub(crate) fn named<'a>(
    kept: impl IntoIterator<Item = (&'a str, &'a Flat)>,
) -> Result<BTreeMap<String, Tensor>> {
    let mut all = BTreeMap::new();
    for (what, flat) in kept {
        all.extend(
            flat.tensors(&Device::Cpu)?.into_iter().map(|(name, value)| (format!("{what}.{name}"), value)),
        );
    }
    Ok(all)
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
mod tests {
    use super::*;
    use looped_core::Init;
    use looped_graph::{Linear, Norm, Trace};

    /// Ones for parameters of these names and lengths.
    fn ones(named: &[(&str, usize)]) -> Gradients {
        let layout = Layout::new(named.iter().map(|(name, len)| ((*name).to_owned(), vec![*len])));
        let mut ones = Flat::zeros(Arc::new(layout));
        ones.named_mut().for_each(|(_, values)| values.fill(1.0));
        ones
    }

    #[test]
    fn an_update_that_fails_changes_and_counts_nothing() {
        let trace = Trace::new();
        trace.params().get("a", [2], Init::Ones);
        trace.params().get("b", [3], Init::Ones);
        let graph = trace.finish().unwrap();
        let store = ParamStore::new(&graph, 1, &Device::Cpu).unwrap();
        let mut updater = Updater::new(default_optimizer(), &graph, &store, 0.0).unwrap();
        // In another order than the parameters', which is no matter.
        updater.update(&store, &ones(&[("b", 3), ("a", 2)]), 0.1).unwrap();
        let before = Flat::clone(&store.values());
        for bad in [ones(&[("a", 2)]), ones(&[("a", 2), ("b", 4)])] {
            let message = updater.update(&store, &bad, 0.1).unwrap_err().to_string();
            assert!(message.contains("b has no gradient of its shape, [3]"), "{message}");
            assert_eq!((&*store.values(), updater.updates()), (&before, 1));
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
        let norms = [Norm::layer(3, &mut params.scope("ln")), Norm::rms(3, &mut params.scope("rms"))];
        let hidden = trace.input(2).positions(table).linear(&layer);
        trace.read(norms.iter().fold(hidden, |x, norm| x.norm(norm)).linear(&end));
        let graph = trace.finish().unwrap();
        for rule in [
            Arc::new(AdamW { weight_decay: 0.5, ..AdamW::default() }) as Arc<dyn Optimizer>,
            Arc::new(Muon { weight_decay: 0.5, ..Muon::default() }),
        ] {
            let store = ParamStore::new(&graph, 1, &Device::Cpu).unwrap();
            let mut updater = Updater::new(Arc::clone(&rule), &graph, &store, 0.0).unwrap();
            updater.update(&store, &Flat::zeros(Arc::clone(store.layout())), 0.2).unwrap();
            for (Place { name, .. }, values) in store.values().named() {
                let expected = match name.as_str() {
                    "h.weight" | "_read_out.weight" => 0.9,
                    "ln.bias" => 0.0,
                    _ => 1.0,
                };
                assert!(values.iter().all(|v| *v == expected), "{rule:?}: {name} is {values:?}");
            }
            let (state, _) = updater.state().unwrap();
            let of_matrix = state.keys().filter(|key| key.ends_with(".h.weight")).count();
            let of_end = state.keys().filter(|key| key.ends_with("._read_out.weight")).count();
            assert_eq!((of_matrix, of_end), (if rule.typetag_name() == "muon" { 1 } else { 2 }, 2));
            assert_eq!(numbers_kept(&*rule, &graph), state.values().map(Tensor::elem_count).sum::<usize>());
        }
    }

    /// Enough numbers for several threads.
    #[test]
    fn an_update_has_the_same_bits_on_any_number_of_threads() {
        let trace = Trace::new();
        for i in 0..40 {
            trace.params().get(&format!("p{i}"), [i % 7 + 1, 1000], Init::Normal { std: 0.1 });
        }
        let graph = trace.finish().unwrap();
        for rule in [default_optimizer(), Arc::new(AdamW::default()), Arc::new(Muon::default())] {
            let after = |threads: usize| {
                let store = ParamStore::new(&graph, 1, &Device::Cpu).unwrap();
                assert!(store.layout().len() > SHARED_FROM);
                let mut updater = Updater::new(Arc::clone(&rule), &graph, &store, 1e-3).unwrap();
                let gradients = Flat::clone(&ParamStore::new(&graph, 2, &Device::Cpu).unwrap().values());
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                for _ in 0..3 {
                    pool.install(|| updater.update(&store, &gradients, 1e-2)).unwrap();
                }
                Flat::clone(&store.values())
            };
            let one = after(1);
            assert!(one == after(2) && one == after(5), "{rule:?}");
        }
    }
}
