//! Nothing is claimed of a graph that a changed row disproves: who sees whom, and which rows are the same in every loop.

use candle_core::{IndexOp, Tensor};
use looped_core::{ParamStore, Prompts};
use looped_graph::{Graph, Reach, Rows, Source, invariant_rows};
use looped_reference::{Looping, ReferenceModel};

/// For every node, the tokens that may move if token `changed` of the input does, and those of the state that `state` names.
fn may_move(graph: &Graph, changed: usize, state: &[bool]) -> Vec<Vec<bool>> {
    let tokens = state.len();
    let mut all: Vec<Vec<bool>> = Vec::new();
    for node in graph.nodes() {
        let mut moves = match &node.source {
            Source::Input => (0..tokens).map(|token| token == changed).collect(),
            Source::State(_) => state.to_vec(),
            Source::Op(_) => vec![false; tokens],
        };
        for wire in &node.inputs {
            moves.iter_mut().zip(&all[wire.node.index()]).for_each(|(moves, input)| *moves |= input);
        }
        let first = moves.iter().position(|moves| *moves);
        match (node.op().map(looped_graph::Op::reach), first) {
            (Some(Reach::Back), Some(first)) => moves[first..].fill(true),
            (Some(Reach::All), Some(_)) => moves.fill(true),
            _ => {}
        }
        all.push(moves);
    }
    all
}

/// A value that is looked at after each loop: the state, or one that has a name.
struct Seen<'g> {
    node: usize,
    probe: Option<&'g str>,
    what: String,
    before: Option<Tensor>,
}

impl Seen<'_> {
    fn of(&self, looping: &Looping<'_>) -> Option<Tensor> {
        match self.probe {
            None => Some(looping.state().clone()),
            Some(name) => looping.probed(name).cloned(),
        }
    }
}

fn seen(graph: &Graph) -> Vec<Seen<'_>> {
    let next = graph.carried()[0].next;
    let state = Seen { node: next.node.index(), probe: None, what: "the state".to_owned(), before: None };
    let probed = graph.nodes().iter().enumerate().filter_map(|(node, of)| {
        let name = of.probe.as_deref().filter(|_| of.shapes[0].rows == Rows::Tokens)?;
        let what = format!("`{name}` ({}, at {})", of.name(), of.at);
        Some(Seen { node, probe: Some(name), what, before: None })
    });
    std::iter::once(state).chain(probed).collect()
}

fn row(tensor: &Tensor, prompt: usize, token: usize) -> Result<Vec<f32>, String> {
    tensor.i((prompt, token)).and_then(|row| row.to_vec1()).map_err(|error| error.to_string())
}

/// Changes token `changed` of the last prompt, and holds the rows of the state and of every named value to what is said of them: a row that can't
/// see the change doesn't move, no other prompt does, and the rows that are said to be the same in every loop are.
///
/// # Errors
/// Which row moves, and in which loop.
pub fn rows_hold(
    graph: &Graph,
    store: &ParamStore,
    prompts: &Prompts,
    loops: usize,
    changed: usize,
) -> Result<(), String> {
    let wrong = |error: looped_core::Error| format!("the reference engine: {error}");
    let model = ReferenceModel::new(graph.clone()).map_err(wrong)?;
    let (tokens, last, mut other) = (2 * prompts.points, prompts.prompts - 1, prompts.clone());
    let point = last * prompts.points + changed / 2;
    if changed.is_multiple_of(2) {
        other.xs[point * prompts.n_dims] += 1.0;
    } else {
        other.ys[point] += 1.0;
    }
    let mut one = model.looping(store, prompts, loops).map_err(wrong)?;
    let mut two = model.looping(store, &other, loops).map_err(wrong)?;
    let carried = graph.carried()[0];
    let mut state = may_move(graph, changed, &vec![false; tokens])[carried.first.node.index()].clone();
    let (invariant, mut seen) = (invariant_rows(graph, tokens), seen(graph));
    for index in 1..=loops {
        one.advance().map_err(wrong)?;
        two.advance().map_err(wrong)?;
        let moves = may_move(graph, changed, &state);
        for value in &mut seen {
            let (Some(a), Some(b)) = (value.of(&one), value.of(&two)) else { continue };
            let same = invariant[value.node];
            for (token, prompt) in (0..tokens).flat_map(|token| (0..prompts.prompts).map(move |p| (token, p)))
            {
                let found = row(&a, prompt, token)?;
                let can = prompt == last && moves[value.node][token];
                if !can && found != row(&b, prompt, token)? {
                    return Err(format!(
                        "reach: {}: token {token} of prompt {prompt} moves in loop {index} when token {changed} of prompt {last} does, \
                         which it is said not to see",
                        value.what
                    ));
                }
                if let Some(before) = value.before.as_ref().filter(|_| token < same)
                    && row(before, prompt, token)? != found
                {
                    return Err(format!(
                        "rows that never change: {}: token {token} changes in loop {index}, and the first {same} of {tokens} are said to be the same \
                         in every loop",
                        value.what
                    ));
                }
            }
            value.before = Some(a);
        }
        state.clone_from(&moves[carried.next.node.index()]);
    }
    Ok(())
}
