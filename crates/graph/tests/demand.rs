//! Which rows of each value have to be computed.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_graph::{Demand, Graph, Heads, Init, Linear, Norm, Reach, Trace, Value, demand};

/// A graph whose state goes through `body`, with what is demanded of each probed value if a prediction is made at the read rows alone.
fn demands(body: impl for<'t> FnOnce(&'t Trace, Value<'t>) -> Value<'t>) -> (Graph, Vec<Demand>) {
    let trace = Trace::new();
    let read_out = Linear::normal(6, 1, 0.02, &mut trace.params().scope("read_out"));
    let x = trace.input(6);
    let state = trace.carry(x.like(0.0));
    let next = body(&trace, state.value().probe("state"));
    trace.next(state, next);
    trace.read(next.linear(&read_out));
    let graph = trace.finish().unwrap();
    let demands = demand(&graph, &[(graph.read().unwrap(), Demand::Read)]);
    (graph, demands)
}

#[track_caller]
fn of((graph, demands): &(Graph, Vec<Demand>), probe: &str) -> Demand {
    demands[graph.nodes().iter().position(|node| node.probe.as_deref() == Some(probe)).unwrap()]
}

fn linear(trace: &Trace, name: &str, out: usize) -> Linear {
    Linear::normal(6, out, 0.02, &mut trace.params().scope(name))
}

#[test]
fn operations_on_rows_of_their_own_ask_for_the_rows_that_are_asked_of_them() {
    let found = demands(|trace, z| {
        let (layer, norm) = (linear(trace, "w", 6), Norm::rms(6, &mut trace.params().scope("norm")));
        let wide = Value::concat(&[z.linear(&layer), z.norm(&norm).keep_last(2, 0.0)]);
        (wide.columns(3..9).gelu() + z.stop_gradient()).rotary(1, 1, 1)
    });
    assert_eq!(of(&found, "state"), Demand::Read);
}

#[test]
fn operations_that_see_other_rows_ask_for_all_of_them() {
    fn recur<'t>(trace: &'t Trace, x: Value<'t>) -> Value<'t> {
        let layer = linear(trace, "h", 6);
        let [h] = x.recur([6], |x, [h]| [(x + h.linear(&layer)).tanh()]);
        h
    }
    fn scan<'t>(trace: &'t Trace, x: Value<'t>) -> Value<'t> {
        let row = |name: &str| trace.param(trace.params().get(name, [6], Init::Ones));
        x.scan(row("decay"), row("gain"), row("read"), row("skip"))
    }
    fn attention<'t>(trace: &'t Trace, x: Value<'t>, heads: Heads) -> Value<'t> {
        x.linear(&linear(trace, "qkv", 18)).attention(heads)
    }
    type Mix = for<'t> fn(&'t Trace, Value<'t>) -> Value<'t>;
    let mixes: [(&str, Mix); 6] = [
        ("causal attention", |trace, x| attention(trace, x, Heads::causal(2))),
        ("attention to all", |trace, x| attention(trace, x, Heads::all(2))),
        ("scan", scan),
        ("recurrence", recur),
        ("shift", |_, x| x.shift(1)),
        ("an author's own", |_, x| x.candle("own", &[], |x| x[0].sin())),
    ];
    for (name, mix) in mixes {
        let found = demands(|trace, z| mix(trace, z.tanh().probe("before")).probe("after").tanh());
        let asked = [of(&found, "state"), of(&found, "before"), of(&found, "after")];
        assert_eq!(asked, [Demand::All, Demand::All, Demand::Read], "{name}");
    }
}

#[test]
fn a_value_with_several_readers_has_the_rows_that_the_most_demanding_one_asks_for() {
    let found = demands(|_, z| {
        let both = z.tanh().probe("both");
        both.sigmoid().probe("one") + both.relu().probe("other").shift(1)
    });
    assert_eq!(of(&found, "one"), Demand::Read);
    assert_eq!([of(&found, "other"), of(&found, "both"), of(&found, "state")], [Demand::All; 3]);
}

#[test]
fn what_no_output_depends_on_is_not_computed() {
    let found = demands(|_, z| {
        let _ = z.tanh().probe("in vain").shift(1).probe("too");
        z * 0.5
    });
    assert_eq!([of(&found, "in vain"), of(&found, "too")], [Demand::None; 2]);
    assert_eq!(of(&found, "state"), Demand::Read);
}

#[test]
fn a_row_that_is_one_for_all_prompts_is_asked_for_as_a_whole() {
    let found = demands(|trace, z| {
        let row = trace.param(trace.params().get("row", [6], Init::Ones)).probe("row");
        (z * row).probe("scaled")
    });
    assert_eq!([of(&found, "scaled"), of(&found, "row")], [Demand::Read, Demand::All]);
}

#[test]
fn of_two_demands_on_one_output_the_larger_counts() {
    let (graph, _) = demands(|_, z| z.tanh().probe("next"));
    let next = graph.carried()[0].next;
    for wanted in [[Demand::Read, Demand::All], [Demand::All, Demand::Read]] {
        let found = demand(&graph, &wanted.map(|what| (next, what)));
        assert_eq!(found[next.node.index()], Demand::All);
    }
    assert_eq!(demand(&graph, &[])[next.node.index()], Demand::None);
    assert!(graph.node(next.node).op().is_some_and(|op| op.reach() == Reach::Own));
}
