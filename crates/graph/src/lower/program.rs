//! All lists of steps for prompts of one length.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::emit::Known;
use super::part::{early, looped};
use super::units::{form, units};
use super::watch::watched;
use super::{Chunk, Early, Engine, Looped, Sizes, Step, Watched, is_island};
use crate::{Form, Graph, Rate, Reach, Rows, Source, Wire, rates, sees_later_rows, unchanging_tokens};

/// The prompts that a program is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shapes {
    /// How many prompts.
    pub sequences: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// Those of them at which predictions are made, in order.
    pub reads: Arc<[usize]>,
    /// Whether every buffer of a list gets room of its own, so that a wrong sharing shows.
    pub apart: bool,
}

/// The steps of training and of prediction, for prompts of one length.
#[derive(Clone, Debug)]
pub struct Program {
    /// The tokens that are the same in every loop, if there are any.
    pub early: Option<Early>,
    /// The others, if there are any.
    pub looped: Option<Looped>,
    /// The loops of a program that is there to be looked at; it has nothing else.
    pub watched: Option<Watched>,
    /// How much memory each space takes.
    pub sizes: Sizes,
}

impl Program {
    /// The tokens that are cut off: those after the last read one, if no token sees a later one.
    #[must_use]
    pub fn tokens_in_use(graph: &Graph, tokens: usize, reads: &[usize]) -> usize {
        match reads.last() {
            Some(last) if !sees_later_rows(graph) => (last + 1).min(tokens),
            _ => tokens,
        }
    }

    /// How many of the tokens in use are the same in every loop.
    #[must_use]
    pub fn early_tokens(graph: &Graph, tokens: usize, reads: &[usize], engine: &dyn Engine) -> usize {
        // What runs by its meaning can't be told what the tokens before its own left.
        let whole = graph.ids().any(|id| {
            let node = graph.node(id);
            let looks = node.op().is_some_and(|op| op.reach() != Reach::Own);
            let rows = node.shapes.iter().any(|shape| shape.rows == Rows::Tokens);
            rows && looks && is_island(graph, id, engine)
        });
        if whole {
            return 0;
        }
        unchanging_tokens(graph, tokens).min(Self::tokens_in_use(graph, tokens, reads))
    }

    /// What keeps a graph from being lowered: each node in the way, with its place.
    #[must_use]
    pub fn refusals(graph: &Graph) -> Vec<String> {
        let mut refusals = Vec::new();
        if graph.carried().len() != 1 {
            refusals.push(format!("the loop carries {} values, not one", graph.carried().len()));
        }
        refusals.extend(ends(graph));
        let rates = rates(graph);
        if graph.carried().iter().any(|of| rates[of.next.node.index()] < Rate::Loop) {
            refusals.push("the state after a loop doesn't depend on the state before it".to_owned());
        }
        let shared = Self::shared(graph);
        for id in graph.ids() {
            let node = graph.node(id);
            let once = node.shapes.iter().all(|shape| shape.rows == Rows::Once);
            let why = match form(node) {
                Some(Form::Custom(custom)) if once => {
                    custom.cpu().is_none().then_some("it has no form on slices")
                }
                Some(Form::Scan) => {
                    let system = &node.inputs[1..];
                    let known = |wire: &Wire| {
                        graph.shape(*wire).rows == Rows::Once && rates[wire.node.index()] == Rate::Step
                    };
                    (!system.iter().all(known))
                        .then_some("its numbers aren't parameters, or computed of them")
                }
                Some(Form::Product(_)) if !shared.contains_key(&node.inputs[1]) => {
                    Some("its matrix is neither a parameter, nor by loop, nor computed of those")
                }
                Some(Form::Parameter(_) | Form::ByLoop(_)) => None,
                Some(Form::Point(_) | Form::Columns(_)) if once => None,
                Some(_) if once => Some("it is one row, computed of rows that are one for all prompts"),
                _ if node.shapes.iter().any(|shape| shape.rows == Rows::Sequences) => {
                    Some("it has one row for each prompt")
                }
                _ => None,
            };
            if let Some(why) = why {
                let scope = if node.scope.is_empty() { String::new() } else { format!("{}: ", node.scope) };
                refusals.push(format!("{scope}{}: {why}, at {}", node.name(), node.at));
            }
        }
        refusals
    }

    /// The steps for some prompts.
    ///
    /// # Errors
    /// If there is something in the graph that can't be lowered (see [`Program::refusals`]), or the prompts take too much memory at a time.
    pub fn new(graph: &Graph, shapes: &Shapes, engine: &dyn Engine) -> Result<Self, String> {
        let refusals = Self::refusals(graph);
        if !refusals.is_empty() {
            return Err(refusals.join("\n"));
        }
        let known = Self::known(graph, shapes, engine);
        let Shapes { sequences, tokens, reads, apart } = shapes;
        let in_use = Self::tokens_in_use(graph, *tokens, reads);
        let border = Self::early_tokens(graph, *tokens, reads, engine);
        let part = |first: usize, end: usize| {
            let reads = reads.iter().filter(|read| (first..end).contains(*read)).map(|read| read - first);
            Chunk { sequences: *sequences, first, tokens: end - first, reads: reads.collect() }
        };
        let mut sizes = Sizes::default();
        let (early, left) = if border > 0 {
            let (early, left) = early(&known, part(0, border), &mut sizes, *apart);
            (Some(early), left)
        } else {
            (None, HashMap::new())
        };
        let looped =
            (border < in_use).then(|| looped(&known, part(border, in_use), left, &mut sizes, *apart));
        Ok(Self { early, looped, watched: None, sizes: sizes.that_fit()? })
    }

    /// The steps of loops that are looked at: after each, `wires` are there. They are the state, or have a name, and have a row for each
    /// token.
    ///
    /// # Errors
    /// If there is something in the graph that can't be lowered, one of the values isn't of that kind, or the prompts take too much memory at
    /// a time.
    pub fn watching(
        graph: &Graph,
        shapes: &Shapes,
        engine: &dyn Engine,
        wires: &[Wire],
    ) -> Result<Self, String> {
        let refusals = Self::refusals(graph);
        if !refusals.is_empty() {
            return Err(refusals.join("\n"));
        }
        for wire in wires {
            let (node, shape) = (graph.node(wire.node), graph.shape(*wire));
            let wrong = |what: &str| Err(format!("{}: {what}, at {}", node.name(), node.at));
            if shape.rows != Rows::Tokens {
                return wrong(&format!("it is {shape}, and not a row for each token"));
            }
            if !graph.ends().any(|end| end == *wire) {
                return wrong("it has no name to be looked at by: see Value::probe");
            }
        }
        let known = Self::known(graph, shapes, engine);
        let chunk =
            Chunk { sequences: shapes.sequences, first: 0, tokens: shapes.tokens, reads: Arc::default() };
        let mut sizes = Sizes::default();
        let watched = Some(watched(&known, chunk, wires, &mut sizes, shapes.apart));
        Ok(Self { early: None, looped: None, watched, sizes: sizes.that_fit()? })
    }

    fn known<'g>(graph: &'g Graph, shapes: &Shapes, engine: &'g dyn Engine) -> Known<'g> {
        Known {
            graph,
            units: units(graph),
            rates: rates(graph),
            needs: graph.needs_gradient(),
            tokens: shapes.tokens,
            shared: Self::shared(graph),
            engine,
            points: Cell::new(0),
        }
    }

    /// All its lists of steps.
    #[must_use]
    pub fn lists(&self) -> Vec<&Vec<Step>> {
        let early =
            self.early.iter().flat_map(|early| [&early.steps.forward, &early.steps.backward, &early.ask]);
        let looped = self.looped.iter().flat_map(|of| {
            [
                &of.prelude.forward,
                &of.prelude.backward,
                &of.prelude_from_state.forward,
                &of.prelude_from_state.backward,
                &of.free,
                &of.body.forward,
                &of.body.backward,
                &of.last.forward,
                &of.last.backward,
                &of.read.forward,
                &of.read.backward,
                &of.ask,
            ]
        });
        let watched = self.watched.iter().flat_map(|of| [&of.prelude, &of.each]);
        early.chain(looped).chain(watched).collect()
    }
}

/// What keeps an engine from a graph's ends: its input, its state, its prediction.
fn ends(graph: &Graph) -> Vec<String> {
    let mut refusals = Vec::new();
    let inputs = graph.nodes().iter().filter(|node| matches!(node.source, Source::Input));
    let widths: Vec<usize> = inputs.map(|node| node.shapes[0].width).collect();
    if widths.iter().any(|width| *width != widths[0]) {
        refusals.push(format!("its inputs have rows of {widths:?}, and a prompt has one width"));
    }
    let [carried, ..] = graph.carried() else { return refusals };
    let state = graph.shape(carried.state);
    if state.rows != Rows::Tokens {
        refusals.push(format!("the state is {state}, and not a row for each token"));
    }
    let Some(read) = graph.read() else {
        refusals.push("nothing is predicted".to_owned());
        return refusals;
    };
    if graph.shape(read).rows != Rows::Tokens {
        refusals.push(format!("the prediction is {}, and not a row for each token", graph.shape(read)));
    }
    // After a loop the state is what is left of it.
    let (mut seen, mut open) = (HashSet::from([carried.next.node]), vec![read.node]);
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let node = graph.node(id);
            if matches!(node.source, Source::State(_)) {
                refusals.push(format!(
                    "the prediction, {} at {}, is made of more than the state after the loop",
                    graph.node(read.node).name(),
                    graph.node(read.node).at
                ));
            }
            open.extend(node.inputs.iter().map(|wire| wire.node));
        }
    }
    refusals
}
