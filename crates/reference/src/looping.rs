//! The loops over one batch, node by node.

use candle_core::{DType, Tensor, Var};
use looped_core::{Error, Loops, Result, Rng, TokenLayout};
use looped_graph::{Graph, Meaning, Node, Rate, Rows, Source, TraceError, Wire, rates};

/// When each node of a graph is computed, and how long its results are needed.
pub(crate) struct Schedule {
    rates: Vec<Rate>,
    /// The last node of a loop that reads it; itself where none does, and `usize::MAX` where its results outlive the loop's nodes.
    last_reader: Vec<usize>,
}

impl Schedule {
    pub(crate) fn new(graph: &Graph) -> Self {
        let rates = rates(graph);
        let mut last_reader: Vec<usize> = (0..rates.len()).collect();
        for (i, node) in graph.nodes().iter().enumerate() {
            node.inputs.iter().for_each(|wire| last_reader[wire.node.index()] = i);
        }
        let pinned = graph.carried().iter().map(|carried| carried.next).chain(graph.read());
        pinned.for_each(|wire| last_reader[wire.node.index()] = usize::MAX);
        for (i, node) in graph.nodes().iter().enumerate() {
            if rates[i] < Rate::Loop || node.probe.is_some() {
                last_reader[i] = usize::MAX;
            }
        }
        Self { rates, last_reader }
    }
}

/// A batch of prompts between two loops of a model.
pub struct Looping<'a> {
    graph: &'a Graph,
    schedule: &'a Schedule,
    params: Vec<Tensor>,
    /// (prompts, tokens, width of a token)
    input: Tensor,
    /// Each node's results, once they are there and while they are needed.
    values: Vec<Vec<Tensor>>,
    states: Vec<Tensor>,
    /// Loops done, and loops in all.
    index: usize,
    loops: usize,
    /// Whether a number that isn't finite is an error.
    strict: bool,
    /// The source of roundings, where they are drawn.
    roundings: Option<Rng>,
    /// Whether what is read after a loop sees a copy of the state that has no history.
    apart: bool,
    /// The state after the last loop and that copy, if so.
    cut: Option<(Tensor, Var)>,
}

/// A loop as tensors that can be differentiated apart: the loop, and what is read after it.
pub(crate) struct Recorded {
    /// The state before the loop.
    pub(crate) before: Var,
    /// The state after it, as the loop makes it of `before`.
    pub(crate) after: Tensor,
    /// The same numbers, as what is read sees them.
    pub(crate) seen: Var,
}

impl<'a> Looping<'a> {
    /// Before the first loop: what is the same in all loops is computed.
    pub(crate) fn start(
        graph: &'a Graph,
        schedule: &'a Schedule,
        params: Vec<Tensor>,
        input: Tensor,
        loops: usize,
        (strict, roundings): (bool, Option<u64>),
    ) -> Result<Self> {
        let values = vec![Vec::new(); graph.nodes().len()];
        let (states, index, apart, cut) = (Vec::new(), 0, false, None);
        let roundings = roundings.map(|seed| Rng::stream(seed, "roundings", 0));
        let mut looping = Self {
            graph,
            schedule,
            params,
            input,
            values,
            states,
            index,
            loops,
            strict,
            roundings,
            apart,
            cut,
        };
        looping.compute(|rate| rate < Rate::Loop)?;
        looping.states = graph.carried().iter().map(|carried| looping.value(carried.first).clone()).collect();
        Ok(looping)
    }

    /// Runs one loop.
    ///
    /// # Errors
    /// If an operation fails; the message names it, the part it belongs to and the place in its author's code.
    pub fn advance(&mut self) -> Result<()> {
        self.compute(|rate| rate == Rate::Loop)?;
        self.states = self.graph.carried().iter().map(|carried| self.value(carried.next).clone()).collect();
        self.index += 1;
        Ok(())
    }

    /// Runs one loop of a graph that carries one value, so that it can be differentiated apart from all others.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub(crate) fn record(&mut self) -> Result<Recorded> {
        let before = Var::from_tensor(&self.states[0].detach())?;
        self.states[0] = before.as_tensor().clone();
        self.apart = true;
        let done = self.advance();
        self.apart = false;
        done?;
        let missing = || Error::Data("the graph's state isn't computed in the loop".to_owned());
        let (after, seen) = self.cut.take().ok_or_else(missing)?;
        self.states[0] = seen.as_detached_tensor();
        Ok(Recorded { before, after, seen })
    }

    /// The first state.
    pub(crate) fn first_state(&self) -> &Tensor {
        self.value(self.graph.carried()[0].first)
    }

    /// Loops done.
    pub(crate) const fn loops_done(&self) -> usize {
        self.index
    }

    /// Puts another state in the present one's place, after so many loops.
    pub(crate) fn put(&mut self, state: Tensor, done: usize) {
        self.states[0] = state;
        self.index = done;
    }

    /// The state after the loops so far: (prompts, tokens, width).
    #[must_use]
    pub fn state(&self) -> &Tensor {
        &self.states[0]
    }

    /// What [`Value::probe`](looped_graph::Value::probe) gave a name to, as the last loop left it; `None` before the first loop, or if nothing has the name.
    #[must_use]
    pub fn probed(&self, name: &str) -> Option<&Tensor> {
        self.values[self.graph.probed(name)?.node.index()].first()
    }

    /// Every y as the last loop predicts it: (prompts, points), of several numbers each (prompts, points, numbers).
    pub(crate) fn predictions(&self, read: Wire, layout: TokenLayout) -> Result<Tensor> {
        let (prompts, tokens, _) = self.input.dims3()?;
        let all = self.value(read);
        let width = all.dim(2)?;
        let read = match layout {
            // The even tokens are the x.
            TokenLayout::Pairs => {
                all.reshape((prompts, tokens / 2, 2, width))?.narrow(2, 0, 1)?.squeeze(2)?
            }
            TokenLayout::Ids => all.clone(),
        };
        Ok(if width == 1 { read.squeeze(2)? } else { read })
    }

    /// Cuts the gradient's way through the state.
    pub(crate) fn detach(&mut self) {
        self.states.iter_mut().for_each(|state| *state = state.detach());
    }

    fn compute(&mut self, wanted: impl Fn(Rate) -> bool) -> Result<()> {
        for (i, node) in self.graph.nodes().iter().enumerate() {
            if !wanted(self.schedule.rates[i]) {
                continue;
            }
            let results = self.results(node)?;
            self.values[i] = match &mut self.roundings {
                Some(rng) => results.iter().map(|exact| rounded(exact, rng)).collect::<Result<_>>()?,
                None => results,
            };
            let next = self.graph.carried().first().map(|carried| carried.next);
            if let (true, Some(Wire { node, output })) = (self.apart, next)
                && node.index() == i
            {
                let after = self.values[i][output].clone();
                let seen = Var::from_tensor(&after.detach())?;
                self.values[i][output] = seen.as_tensor().clone();
                self.cut = Some((after, seen));
            }
            for wire in &node.inputs {
                let input = wire.node.index();
                if self.schedule.last_reader[input] == i {
                    self.values[input].clear();
                }
            }
        }
        Ok(())
    }

    fn value(&self, wire: Wire) -> &Tensor {
        &self.values[wire.node.index()][wire.output]
    }

    fn results(&self, node: &Node) -> Result<Vec<Tensor>> {
        let op = match &node.source {
            Source::Input => return Ok(vec![self.input.clone()]),
            Source::State(i) => return Ok(vec![self.states[*i].clone()]),
            Source::Op(op) => op,
        };
        let (sequences, tokens, _) = self.input.dims3()?;
        let of = Meaning {
            params: &self.params,
            index: self.index,
            loops: self.loops,
            sequences,
            tokens,
            dtype: self.input.dtype(),
            device: self.input.device(),
        };
        let inputs: Vec<Tensor> = node.inputs.iter().map(|wire| self.value(*wire).clone()).collect();
        let wrong = |what: String| {
            let what = format!("{}: {what}", node.name());
            Error::Recording(TraceError { scope: node.scope.to_string(), what, at: node.at })
        };
        let results = op.meaning(&inputs, of).map_err(|error| wrong(error.to_string()))?;
        let expected: Vec<[usize; 3]> = node
            .shapes
            .iter()
            .map(|shape| match shape.rows {
                Rows::Once => [1, 1, shape.width],
                Rows::Sequences => [sequences, 1, shape.width],
                Rows::Tokens => [sequences, tokens, shape.width],
            })
            .collect();
        let found: Vec<&[usize]> = results.iter().map(Tensor::dims).collect();
        if found != expected {
            return Err(wrong(format!("its results have the shapes {found:?}, where it said {expected:?}")));
        }
        if self.strict && results.iter().map(is_finite).collect::<Result<Vec<_>>>()?.contains(&false) {
            return Err(wrong(format!("in loop {} it gives numbers that aren't finite", self.index + 1)));
        }
        Ok(results)
    }
}

/// Each number off by up to half of the last place of an f32.
fn rounded(exact: &Tensor, rng: &mut Rng) -> Result<Tensor> {
    let half = f64::from(f32::EPSILON) / 2.0;
    let off = (0..exact.elem_count()).map(|_| 1.0 + half * (2.0 * rng.uniform() - 1.0)).collect();
    let off = Tensor::from_vec(off, exact.shape(), exact.device())?.to_dtype(exact.dtype())?;
    Ok((exact * off)?)
}

fn is_finite(tensor: &Tensor) -> Result<bool> {
    // 0 times what isn't finite isn't a number.
    let sum: f64 = (tensor * 0.0)?.sum_all()?.to_dtype(DType::F64)?.to_scalar()?;
    Ok(sum == 0.0)
}

impl Loops for Looping<'_> {
    fn next_state(&mut self) -> Result<Tensor> {
        self.advance()?;
        Ok(self.state().clone())
    }

    fn go_on_from(&mut self, state: &Tensor, done: usize) -> Result<()> {
        let [own] = &mut self.states[..] else {
            let carried = self.states.len();
            return Err(Error::Data(format!(
                "the loop carries {carried} values; it can go on from a state given to it only where it carries one"
            )));
        };
        if (state.dims(), state.dtype()) != (own.dims(), own.dtype()) {
            let given = (state.dims(), state.dtype());
            return Err(Error::Data(format!(
                "a state is {given:?}, and the loop's is {:?}",
                (own.dims(), own.dtype())
            )));
        }
        *own = state.clone();
        self.index = done;
        Ok(())
    }
}

impl<'a> From<Looping<'a>> for looped_core::Looping<'a> {
    fn from(looping: Looping<'a>) -> Self {
        Self::new(looping)
    }
}
