//! Operations without a kernel: each runs by its author's form on slices, or by its meaning, in candle's operations.

use candle_core::{DType, Device, Result, Tensor, Var};
use looped_graph::lower::{Chunk, IslandOf, Place, Shared, on_slices};
use looped_graph::ops::CpuKernel;
use looped_graph::{Meaning, Op, Rows, Shape, Wire};

use crate::run::Run;
use crate::weights::Weights;

/// One operation with its operands as tensors.
struct Island<'a> {
    op: &'a dyn Op,
    shapes: &'a [Shape],
    inputs: Vec<Tensor>,
    params: Vec<Tensor>,
    chunk: &'a Chunk,
    index: usize,
}

impl Island<'_> {
    fn run(&self) -> Result<Vec<Tensor>> {
        let Chunk { sequences, tokens, .. } = *self.chunk;
        let of = Meaning {
            params: &self.params,
            index: self.index,
            // Rows that depend on the number of loops are computed elsewhere.
            loops: 0,
            sequences,
            tokens,
            dtype: DType::F32,
            device: &Device::Cpu,
        };
        let results = self.op.meaning(&self.inputs, of)?;
        let said = self.shapes.iter().map(|shape| Into::<candle_core::Shape>::into(dims(*shape, self.chunk)));
        if results.iter().map(Tensor::shape).eq(&said.clone().collect::<Vec<_>>()) {
            return Ok(results);
        }
        let (found, said): (Vec<_>, Vec<_>) = (results.iter().map(Tensor::dims).collect(), said.collect());
        candle_core::bail!("its results have the shapes {found:?}, where it said {said:?}")
    }
}

/// The variables among some tensors.
type Variables = Vec<Option<Var>>;

fn dims(shape: Shape, chunk: &Chunk) -> (usize, usize, usize) {
    match shape.rows {
        Rows::Once => (1, 1, shape.width),
        Rows::Sequences => (chunk.sequences, 1, shape.width),
        Rows::Tokens => (chunk.sequences, chunk.tokens, shape.width),
    }
}

impl<'a> Run<'a> {
    /// The operation, its operands as variables where gradients are wanted.
    fn island_of(
        &mut self,
        of: &IslandOf,
        places: &[Place],
        chunk: &'a Chunk,
        slot: usize,
        as_variables: bool,
    ) -> Result<(Island<'a>, Variables, Variables)> {
        let (weights, graph) = (self.weights, self.weights.graph);
        let node = graph.node(of.node);
        let op: &dyn Op = match node.op() {
            Some(op) => op,
            None => unreachable!("an island is an operation"),
        };
        let mut places = places.iter();
        let (mut inputs, mut of_inputs) = (Vec::new(), Vec::new());
        for (i, (wire, shared)) in node.inputs.iter().zip(&of.inputs).enumerate() {
            let values = match (shared, graph.shape(*wire).rows) {
                (Some(shared), _) => weights.flat[weights.row(*shared, self.index)].to_vec(),
                (None, _) => {
                    let place = places.next().copied().unwrap_or(Place::NONE);
                    self.memory.one(place, slot).to_vec()
                }
            };
            let tensor = Tensor::from_vec(values, dims(graph.shape(*wire), chunk), &Device::Cpu)?;
            let variable = (as_variables && of.wanted[i]).then(|| Var::from_tensor(&tensor)).transpose()?;
            inputs.push(variable.as_ref().map_or(tensor, |variable| variable.as_tensor().clone()));
            of_inputs.push(variable);
        }
        // Only the operation's own parameters are made: it asks for no other.
        let nothing = Tensor::zeros((), DType::F32, &Device::Cpu)?;
        let mut params = vec![nothing; graph.params().len()];
        let mut of_params = Vec::new();
        for param in op.params() {
            let values = weights.param(param).to_vec();
            let tensor = Tensor::from_vec(values, graph.params()[param.index()].dims.clone(), &Device::Cpu)?;
            let variable = as_variables.then(|| Var::from_tensor(&tensor)).transpose()?;
            params[param.index()] = variable.as_ref().map_or(tensor, |variable| variable.as_tensor().clone());
            of_params.push(variable);
        }
        let shapes = &node.shapes;
        Ok((Island { op, shapes, inputs, params, chunk, index: self.index }, of_inputs, of_params))
    }

    pub(crate) fn island(&mut self, of: &IslandOf, places: &[Place], chunk: &'a Chunk, slot: usize) {
        if let Some(kernel) = on_slices(self.weights.graph.node(of.node)) {
            return self.slices(kernel, of, places, slot);
        }
        let results = self.island_of(of, places, chunk, slot, false).and_then(|(island, ..)| {
            island
                .run()?
                .iter()
                .map(|result| result.flatten_all()?.to_vec1::<f32>())
                .collect::<Result<Vec<_>>>()
        });
        let results = match results {
            Ok(results) => results,
            Err(error) => return self.fail(of.node, &error.to_string()),
        };
        let first = places.len() - results.len();
        for (place, result) in places[first..].iter().zip(results) {
            self.memory.one(*place, slot).copy_from_slice(&result);
        }
    }

    pub(crate) fn island_back(&mut self, of: &IslandOf, places: &[Place], chunk: &'a Chunk, slot: usize) {
        if let Some(kernel) = on_slices(self.weights.graph.node(of.node)) {
            return self.slices_back(kernel, of, places, chunk, slot);
        }
        if let Err(error) = self.island_gradients(of, places, chunk, slot) {
            self.fail(of.node, &error.to_string());
        }
    }

    fn island_gradients(
        &mut self,
        of: &IslandOf,
        places: &[Place],
        chunk: &'a Chunk,
        slot: usize,
    ) -> Result<()> {
        let graph = self.weights.graph;
        let (island, inputs, params) = self.island_of(of, places, chunk, slot, true)?;
        let first = of.inputs.iter().filter(|shared| shared.is_none()).count();
        let mut rest = places[first..].iter();
        let mut loss = Tensor::zeros((), DType::F32, &Device::Cpu)?;
        for (output, result) in island.run()?.iter().enumerate() {
            if of.given[output] {
                let place = rest.next().copied().unwrap_or(Place::NONE);
                let shape = graph.shape(Wire { node: of.node, output });
                let slope = self.memory.one(place, slot).to_vec();
                let slope = Tensor::from_vec(slope, dims(shape, chunk), &Device::Cpu)?;
                loss = (loss + (result * slope)?.sum_all()?)?;
            }
        }
        let mut found = loss.backward()?;
        let mut values = |variable: &Var| -> Result<Vec<f32>> {
            match found.remove(variable.as_tensor()) {
                Some(gradient) => gradient.flatten_all()?.to_vec1(),
                None => Ok(vec![0.0; variable.elem_count()]),
            }
        };
        let mut adds = of.add.iter();
        for (shared, variable) in of.inputs.iter().zip(&inputs) {
            let Some(variable) = variable else { continue };
            let gradient = values(variable)?;
            let (to, add) = match shared {
                Some(shared) => (&mut self.grads[self.weights.row(*shared, self.index)], true),
                None => {
                    let place = rest.next().copied().unwrap_or(Place::NONE);
                    (self.memory.one(place, slot), adds.next().copied().unwrap_or(false))
                }
            };
            if add {
                to.iter_mut().zip(&gradient).for_each(|(to, gradient)| *to += gradient);
            } else {
                to.copy_from_slice(&gradient);
            }
        }
        for (param, variable) in island.op.params().into_iter().zip(&params) {
            let Some(variable) = variable else { continue };
            let gradient = values(variable)?;
            let to = &mut self.grads[self.weights.layout.param(param)];
            to.iter_mut().zip(&gradient).for_each(|(to, gradient)| *to += gradient);
        }
        Ok(())
    }

    fn slices(&mut self, kernel: &dyn CpuKernel, of: &IslandOf, places: &[Place], slot: usize) {
        let (own, at) = distinct(places, of);
        let results = &places[at.len()..];
        let mut slices = self.memory.some(&[&own, results].concat(), slot);
        let mut results = slices.split_off(own.len());
        let rows = at.iter().map(|&i| &*slices[i]);
        kernel.forward(&inputs(self.weights, self.index, of, rows), &mut results);
    }

    fn slices_back(
        &mut self,
        kernel: &dyn CpuKernel,
        of: &IslandOf,
        places: &[Place],
        chunk: &Chunk,
        slot: usize,
    ) {
        let (weights, graph) = (self.weights, self.weights.graph);
        let (own, at) = distinct(places, of);
        let mut slices = self.memory.some(&[&own, &places[at.len()..]].concat(), slot);
        let mut targets = slices.split_off(slices.len() - of.add.len());
        let slopes = slices.split_off(own.len());
        let rows = at.iter().map(|&i| &*slices[i]);
        let inputs = inputs(weights, self.index, of, rows);

        // The form gives all gradients that there are; room for those that nobody asks for is made here.
        let len = |wire: Wire| {
            let (sequences, tokens, width) = dims(graph.shape(wire), chunk);
            sequences * tokens * width
        };
        let none = |output| vec![0.0; len(Wire { node: of.node, output })];
        let nothing: Vec<Vec<f32>> = (0..of.given.len()).map(none).collect();
        let mut slopes = slopes.iter();
        let mut dresults: Vec<&[f32]> = Vec::new();
        for (given, none) in of.given.iter().zip(&nothing) {
            let found = if *given { slopes.next() } else { None };
            dresults.push(found.map_or(none, |slope| slope));
        }
        let mut beside: Vec<Vec<f32>> = inputs.iter().map(|input| vec![0.0; input.len()]).collect();
        let mut targets = targets.iter_mut().zip(&of.add);
        let mut dinputs: Vec<&mut [f32]> = Vec::new();
        for ((beside, shared), wanted) in beside.iter_mut().zip(&of.inputs).zip(&of.wanted) {
            let target = if *wanted && shared.is_none() { targets.next() } else { None };
            dinputs.push(match target {
                Some((target, add)) => {
                    if !add {
                        target.fill(0.0);
                    }
                    target
                }
                None => beside,
            });
        }
        kernel.backward(&inputs, &dresults, &mut dinputs);
        for ((beside, shared), wanted) in beside.iter().zip(&of.inputs).zip(&of.wanted) {
            if let (Some(shared), true) = (shared, wanted) {
                weights.exact.add(beside, &mut self.grads[weights.row(*shared, self.index)]);
            }
        }
    }
}

/// The places of the inputs that have rows, each once, and for each such input which of them is its.
fn distinct(places: &[Place], of: &IslandOf) -> (Vec<Place>, Vec<usize>) {
    let count = of.inputs.iter().filter(|shared| shared.is_none()).count();
    let mut own: Vec<Place> = Vec::new();
    let at = places[..count].iter().map(|place| {
        own.iter().position(|known| known == place).unwrap_or_else(|| {
            own.push(*place);
            own.len() - 1
        })
    });
    let at = at.collect();
    (own, at)
}

/// All inputs, those with rows being given in order.
fn inputs<'s>(
    weights: &'s Weights<'_>,
    index: usize,
    of: &IslandOf,
    mut rows: impl Iterator<Item = &'s [f32]>,
) -> Vec<&'s [f32]> {
    let one = |shared: &Option<Shared>| match shared {
        Some(shared) => &weights.flat[weights.row(*shared, index)],
        None => rows.next().unwrap_or(&[]),
    };
    of.inputs.iter().map(one).collect()
}
