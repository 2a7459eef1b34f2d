//! What a recording knows before anything is run.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_graph::{
    Demand, Graph, Heads, Init, Linear, Norm, Rate, Shape, Trace, Value, demand, invariant_rows, rates,
    sees_later_rows,
};

/// A transformer block over the state of the last `n` tokens and an embedded prompt with positions.
fn looped(n: usize, heads: Heads) -> Graph {
    let (trace, width) = (Trace::new(), 8);
    let mut params = trace.params();
    let linear = |name: &str, inputs, out| Linear::normal(inputs, out, 0.02, &mut params.scope(name));
    let (read_in, qkv, mix) =
        (linear("read_in", 3, width), linear("qkv", width, 3 * width), linear("mix", width, width));
    let (wide, narrow) = (linear("fc", width, 4 * width), linear("proj", 4 * width, width));
    let read_out = linear("read_out", width, 1);
    let norms = [0, 1, 2].map(|i| Norm::layer(width, &mut params.scope(format!("ln_{i}"))));
    let table = params.get("wpe", [12, width], Init::Zeros);

    let placed = trace.input(3).linear(&read_in).positions(table);
    let state = trace.carry(placed.like(0.0));
    let y = trace.scope("h.0", || {
        let x = state.value().keep_last(n, 0.0) + placed;
        let x = x + x.norm(&norms[0]).linear(&qkv).attention(heads).linear(&mix);
        x + x.norm(&norms[1]).linear(&wide).gelu().linear(&narrow)
    });
    let z = y.norm(&norms[2]);
    trace.next(state, z);
    trace.read(z.linear(&read_out));
    trace.finish().unwrap()
}

fn of<T: Copy>(graph: &Graph, all: &[T], name: &str) -> T {
    all[graph.nodes().iter().position(|node| node.name() == name).unwrap()]
}

#[test]
fn what_does_not_see_the_state_is_computed_once_a_prompt() {
    let graph = looped(4, Heads::causal(2));
    let rates = rates(&graph);
    assert_eq!(of(&graph, &rates, "fill 0"), Rate::Step);
    assert_eq!(of(&graph, &rates, "positions `wpe`"), Rate::Chunk);
    assert_eq!(of(&graph, &rates, "keep last 4"), Rate::Loop);
    assert_eq!(of(&graph, &rates, "linear `read_out`"), Rate::Loop);
}

#[test]
fn rows_before_the_last_n_never_change_behind_causal_attention_and_all_change_behind_the_other() {
    let next = |graph: &Graph| invariant_rows(graph, 12)[graph.carried()[0].next.node.index()];
    assert_eq!(next(&looped(4, Heads::causal(2))), 8);
    assert_eq!(next(&looped(99, Heads::causal(2))), 0);
    assert_eq!(next(&looped(4, Heads::all(2))), 0);
    assert!(sees_later_rows(&looped(4, Heads::all(2))) && !sees_later_rows(&looped(4, Heads::causal(2))));
}

#[test]
fn the_last_loop_needs_all_rows_up_to_attention_and_the_read_ones_after_it() {
    let graph = looped(4, Heads::causal(2));
    let demand = demand(&graph, &[(graph.read().unwrap(), Demand::Read)]);
    assert_eq!(of(&graph, &demand, "linear `qkv`"), Demand::All);
    assert_eq!(of(&graph, &demand, "attention"), Demand::Read);
    assert_eq!(of(&graph, &demand, "linear `fc`"), Demand::Read);
}

#[test]
fn a_mistake_is_told_with_part_operation_shapes_and_place() {
    let trace = Trace::new();
    let layer = Linear::normal(32, 32, 0.02, &mut trace.params().scope("attn.c_proj"));
    let x = trace.input(24);
    let _ = trace.scope("h.0", || x.linear(&layer).gelu() + x);
    let message = trace.finish().unwrap_err().to_string();
    let (what, place) = message.split_once('\n').unwrap();
    assert_eq!(what, "h.0: linear `attn.c_proj` of (tokens, 24): it takes rows of 32");
    assert!(place.trim_start().starts_with("at crates/graph/tests/records.rs:"), "{place}");
}

#[test]
fn a_lookup_takes_the_tokens_as_they_are_given() {
    let looked_up = |of: fn(Value<'_>) -> Value<'_>| {
        let trace = Trace::new();
        let table = trace.params().get("table", [4, 10], Init::Zeros);
        let _ = of(trace.input(1)).lookup(table);
        trace.finish()
    };
    let graph = looked_up(|tokens| tokens).unwrap();
    assert_eq!(graph.nodes()[1].shapes, [Shape::tokens(4)]);
    assert_eq!(graph.vocabularies().collect::<Vec<_>>(), [10]);
    let message = looked_up(|tokens| tokens * 2.0).unwrap_err().to_string();
    assert!(message.starts_with("lookup takes the input as it is given"), "{message}");
}

#[test]
fn two_layers_of_one_name_are_refused_unless_shared_on_purpose() {
    let trace = Trace::new();
    let mut params = trace.params();
    params.get("w", [2], Init::Ones);
    params.shared("tied", [2], Init::Ones);
    params.shared("tied", [2], Init::Ones);
    params.get("w", [2], Init::Ones);
    let message = trace.finish().unwrap_err().to_string();
    assert!(message.contains("w is asked for twice, so two layers would share it"), "{message}");
}

#[test]
fn a_cell_refuses_what_sees_other_tokens() {
    let trace = Trace::new();
    let x = trace.input(6);
    let _: [Value<'_>; 1] = x.recur([6], |x, [h]| [x.shift(1) + h]);
    let message = trace.finish().unwrap_err().to_string();
    assert!(message.contains("shift by 1 sees other tokens, and a cell has one only"), "{message}");
}

#[test]
fn a_state_of_another_width_after_the_loop_is_refused() {
    let trace = Trace::new();
    let x = trace.input(6);
    let state = trace.carry(x.like(0.0));
    trace.next(state, (state.value() + x).columns(0..3));
    let message = trace.finish().unwrap_err().to_string();
    assert!(
        message.contains("the state is (tokens, 6) before the loop and (tokens, 3) after it"),
        "{message}"
    );
}
