//! A model on the reference engine: steps and predictions.

use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};
use looped_core::{
    Error, Flat, Found, Layout, LoopPlan, Objective, ParamStore, Policy, Predictions, Predictor, Prompts,
    Result,
};
use looped_graph::{Graph, Rows, Source, TraceError, Wire};

use crate::body::TensorBody;
use crate::looping::{Looping, Schedule};

/// What a training step needs to know besides its prompts.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Loops, and how many of the last carry gradient.
    pub plan: LoopPlan,
    /// How many of the last loops enter the loss; more than the window means the window.
    pub loss_loops: usize,
    /// What is minimised.
    pub objective: Objective,
}

/// A recorded model; its parameters stay in a [`ParamStore`].
pub struct ReferenceModel {
    graph: Arc<Graph>,
    schedule: Schedule,
    read: Wire,
    dtype: DType,
    /// The seed of roundings that are drawn, if they are.
    roundings: Option<u64>,
}

impl ReferenceModel {
    /// A recorded model: that of a config ([`ModelConfig::graph`](looped_core::ModelConfig::graph)), or one's own. It carries a state, and reads
    /// a prediction at each token.
    ///
    /// # Errors
    /// If it doesn't.
    pub fn new(graph: impl Into<Arc<Graph>>) -> Result<Self> {
        let graph = graph.into();
        let unread = || Error::Data("the graph reads no prediction at each token".to_owned());
        let read = graph.read().filter(|read| graph.shape(*read).rows == Rows::Tokens).ok_or_else(unread)?;
        if graph.carried().is_empty() {
            return Err(Error::Data("the graph carries no state from loop to loop".to_owned()));
        }
        Ok(Self { schedule: Schedule::new(&graph), graph, read, dtype: DType::F32, roundings: None })
    }

    /// The same model, computing in 64 bits; its parameters stay in 32.
    #[must_use]
    pub fn in_f64(self) -> Self {
        Self { dtype: DType::F64, ..self }
    }

    /// The same model, in which every number that an operation gives is off by up to a rounding of an f32, drawn from `seed`. How far that
    /// moves what is computed in 64 bits, rounding may move it in 32, whichever engine rounds.
    #[must_use]
    pub fn with_roundings(self, seed: u64) -> Self {
        Self { roundings: Some(seed), ..self }
    }

    /// What is computed.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The mean loss of the last loops on `prompts`, and its gradient with respect to every parameter of `store`. Loops before the
    /// window keep no gradient.
    ///
    /// # Errors
    /// If the parameters or the prompts don't fit the model, no loop enters the loss, or an operation fails.
    pub fn step(&self, store: &ParamStore, prompts: &Prompts, step: Step) -> Result<(f64, Flat)> {
        let leaves = self.leaves(store)?;
        let loss = self.loss(self.widened(&leaves)?, prompts, step)?;
        let gradients = self.gradients(&leaves, &loss.backward()?)?;
        Ok((loss.to_dtype(DType::F64)?.to_scalar()?, gradients))
    }

    /// The loss of a training step on `prompts`, whose way through the loops is the policy's, its gradient with respect to every parameter of
    /// `store`, and what the policy noted.
    ///
    /// # Errors
    /// If the graph carries more than one value, and as [`ReferenceModel::step`].
    pub fn run(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        objective: Objective,
        policy: &dyn Policy,
    ) -> Result<Found> {
        let carried = self.graph.carried().len();
        if carried != 1 {
            return Err(Error::Data(format!("the loop carries {carried} values, and this unroll takes one")));
        }
        let leaves = self.leaves(store)?;
        let looping = self.start(self.widened(&leaves)?, prompts, policy.loops(), false)?;
        TensorBody::new(looping, (leaves, prompts), objective, (&self.graph, self.read)).run(policy)
    }

    /// The parameters' values as candle differentiates with respect to them, in the graph's order: variables, copies of what `store` holds.
    ///
    /// # Errors
    /// If the parameters don't fit the model.
    pub fn leaves(&self, store: &ParamStore) -> Result<Vec<Tensor>> {
        let leaf = |value: &Tensor| Ok(Var::from_tensor(value)?.into_inner());
        self.values(store)?.iter().map(leaf).collect()
    }

    /// The predictions of the window's loops, as tensors that candle differentiates with respect to the [`leaves`](Self::leaves): for a loss of
    /// one's own. [`gradients`](Self::gradients) makes of its derivative what an optimiser takes. Earlier loops keep no gradient.
    ///
    /// # Shapes
    /// (window, prompts, points), of classes (window, prompts, points, classes).
    ///
    /// # Errors
    /// If the prompts don't fit the model, there is no loop, or an operation fails.
    pub fn forward(&self, leaves: &[Tensor], prompts: &Prompts, plan: LoopPlan) -> Result<Tensor> {
        self.predictions(self.widened(leaves)?, prompts, plan)
    }

    /// The gradients that candle found with respect to the [`leaves`](Self::leaves), as an optimiser takes them. That of a parameter that the loss
    /// doesn't reach is 0.
    ///
    /// # Errors
    /// If these aren't the leaves, or the device fails.
    pub fn gradients(&self, leaves: &[Tensor], found: &GradStore) -> Result<Flat> {
        let mut gradients = Flat::zeros(Arc::new(Layout::of(&self.graph)));
        let (given, params) = (leaves.len(), self.graph.params().len());
        if given != params {
            return Err(Error::Parameters(format!("{given} leaves are given, the model has {params}")));
        }
        for ((place, values), leaf) in gradients.named_mut().zip(leaves) {
            let Some(gradient) = found.get(leaf) else { continue };
            if gradient.dims() != place.dims {
                let (name, has, needs) = (&place.name, gradient.dims(), &place.dims);
                return Err(Error::Parameters(format!(
                    "{name} has a gradient of shape {has:?}, not {needs:?}"
                )));
            }
            values.copy_from_slice(&gradient.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(gradients)
    }

    fn predictions(&self, params: Vec<Tensor>, prompts: &Prompts, plan: LoopPlan) -> Result<Tensor> {
        let LoopPlan { loops, window } = plan;
        if loops == 0 || window == 0 {
            return Err(Error::Data(format!(
                "of {loops} loops, {window} carry gradient: there is no prediction"
            )));
        }
        let first = loops.saturating_sub(window);
        let mut looping = self.start(params, prompts, loops, false)?;
        let mut predictions = Vec::with_capacity(loops - first);
        for index in 0..loops {
            looping.advance()?;
            if index < first {
                looping.detach();
            } else {
                predictions.push(looping.predictions(self.read, prompts.layout)?);
            }
        }
        Ok(Tensor::stack(&predictions, 0)?)
    }

    /// The mean loss of the last loops on `prompts` as candle computes it from the parameters' values, which are given in the graph's
    /// order: a scalar that can be differentiated.
    ///
    /// # Errors
    /// As [`ReferenceModel::step`].
    pub fn loss(&self, params: Vec<Tensor>, prompts: &Prompts, step: Step) -> Result<Tensor> {
        let [window, counted] = step.plan.counted(step.loss_loops)?;
        let predictions = self.predictions(params, prompts, step.plan)?;
        let predictions = predictions.narrow(0, window - counted, counted)?;
        let ys = Tensor::from_slice(&prompts.ys, (prompts.prompts, prompts.points), predictions.device())?;
        step.objective.loss(&predictions, &ys.to_dtype(self.dtype)?)
    }

    /// So many loops over `prompts` with the parameters of `store`, without gradient, to be run one at a time. The number counts for parts that are
    /// stretched over all loops ([`Beyond::Interpolate`](looped_graph::ops::Beyond)).
    ///
    /// # Errors
    /// If the parameters or the prompts don't fit the model, or an operation fails.
    pub fn looping(&self, store: &ParamStore, prompts: &Prompts, loops: usize) -> Result<Looping<'_>> {
        self.start(self.widened(&self.values(store)?)?, prompts, loops, false)
    }

    /// The first operation that gives a number that isn't finite, with the loop in which it does, the part it belongs to, and the place in its
    /// author's code; `None` if all numbers of these loops over `prompts` are finite.
    ///
    /// # Errors
    /// If the parameters or the prompts don't fit the model.
    pub fn first_not_finite(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        loops: usize,
    ) -> Result<Option<TraceError>> {
        let run = || -> Result<()> {
            let mut looping = self.start(self.widened(&self.values(store)?)?, prompts, loops, true)?;
            (0..loops).try_for_each(|_| looping.advance())
        };
        match run() {
            Ok(()) => Ok(None),
            Err(Error::Recording(found)) => Ok(Some(found)),
            Err(error) => Err(error),
        }
    }

    /// This model with the parameters of `store`, to be asked for predictions.
    #[must_use]
    pub fn predictor<'a>(&'a self, store: &'a ParamStore) -> ReferencePredictor<'a> {
        ReferencePredictor { model: self, store }
    }

    fn start(
        &self,
        params: Vec<Tensor>,
        prompts: &Prompts,
        loops: usize,
        strict: bool,
    ) -> Result<Looping<'_>> {
        self.refuse_unless_it_fits(prompts)?;
        let device = params.first().map_or(&candle_core::Device::Cpu, Tensor::device);
        let (width, noise) = (self.graph.input_width(), self.graph.noise_width());
        let input = prompts.tokens(width, noise, device)?.to_dtype(self.dtype)?;
        Looping::start(&self.graph, &self.schedule, params, input, loops, (strict, self.roundings))
    }

    fn refuse_unless_it_fits(&self, prompts: &Prompts) -> Result<()> {
        let Prompts { prompts: count, points, n_dims, .. } = *prompts;
        let refuse = |what: String| Err(Error::Data(what));
        if count == 0 || points == 0 {
            return refuse(format!("there are {count} prompts of {points} points"));
        }
        let inputs = self.graph.nodes().iter().filter(|node| matches!(node.source, Source::Input));
        let noise = self.graph.noise_width();
        for width in inputs.map(|node| node.shapes[0].width - noise) {
            if width != n_dims {
                return refuse(format!("x has {n_dims} coordinates, the model takes {width}"));
            }
        }
        if (prompts.xs.len(), prompts.ys.len()) != (count * points * n_dims, count * points) {
            let (xs, ys) = (prompts.xs.len(), prompts.ys.len());
            return refuse(format!(
                "{xs} values of x and {ys} of y aren't {count} prompts of {points} points"
            ));
        }
        prompts.fit_vocabularies(&self.graph)
    }

    /// The parameters' values in the graph's order, copied to where candle computes.
    fn values(&self, store: &ParamStore) -> Result<Vec<Tensor>> {
        let values = store.values();
        let one = |info: &looped_graph::ParamInfo| {
            let value = values.tensor(&info.name, store.device())?;
            if value.dims() != info.dims {
                let shapes =
                    format!("{} has shape {:?}, the model needs {:?}", info.name, value.dims(), info.dims);
                return Err(Error::Parameters(shapes));
            }
            Ok(value)
        };
        self.graph.params().iter().map(one).collect()
    }

    /// Values in the type that is computed in.
    fn widened(&self, values: &[Tensor]) -> Result<Vec<Tensor>> {
        values.iter().map(|value| Ok(value.to_dtype(self.dtype)?)).collect()
    }
}

/// A [`ReferenceModel`] with its parameters.
pub struct ReferencePredictor<'a> {
    model: &'a ReferenceModel,
    store: &'a ParamStore,
}

impl Predictor for ReferencePredictor<'_> {
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let mut looping = self.model.looping(self.store, prompts, loops)?;
        let width = self.model.graph.shape(self.model.read).width;
        let mut values = Vec::with_capacity(loops * prompts.prompts * prompts.points * width);
        for _ in 0..loops {
            looping.advance()?;
            let after = looping.predictions(self.model.read, prompts.layout)?.to_dtype(DType::F32)?;
            values.extend(after.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(Predictions { values, width, loops, prompts: prompts.prompts, points: prompts.points })
    }
}
