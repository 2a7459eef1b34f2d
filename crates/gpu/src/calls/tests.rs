#![allow(clippy::unwrap_used)]

use super::*;
use crate::source::SIGNATURES;
use crate::{Element, Form, Layout, Math, Operation, Product, Result, Source, Storage};

const SOURCE: Source = Source { width: 64, head: 16, storage: Storage::Bf16 };

/// Every call once, for 3 sequences of 5 tokens.
fn every_call() -> Vec<Operation> {
    let calls = Calls { source: SOURCE };
    let (rows, tokens, width) = (15, 5, 64);
    let mut layout = Layout::default();
    let mut floats = |len: usize| layout.floats(len);
    let [a, b, c, d, e] = [0; 5].map(|_| floats(rows * width));
    let (line, one, partials) = (floats(width), floats(1), floats(10 * width));
    let (points, targets, logs) = (floats(9), floats(9), floats(3 * 4 * 5));
    let (two, positions) = (floats(2), floats(tokens * width));
    let mut stored = |len: usize| layout.place(Element::Bf16, len);
    let (low, qkv, wide) = (stored(rows * width), stored(3 * rows * width), stored(4 * rows * width));
    let settings = layout.place(Element::F64, SETTINGS);
    let decision = layout.floats(DECISION);
    let [scan_kept, scan_sums] = [8 * rows * width, 3 * 4 * width].map(|len| layout.floats(len));
    let scan_of = |line: Span| StateSpace { decay: line, gain: line, read: line, skip: line };
    let ending = Ending { weight: line, bias: line, read_weight: line, read_bias: one };
    let next = Next { input: b, x: c, weight: line, bias: line, normed: low };
    let after = After { dn: a, x: b, weight: line, residual: c, dinput: d, fresh: true };
    let before = Before { y: a, ending, errors: Some((points, targets, 0.1)), dy: e, low: Some(low) };
    let lines = [Some(line), Some(line)];
    let update = Adam { parameters: a, gradients: b, first: c, second: d, low: Some(low) };
    let seen = Seen::causal(tokens);
    let mut all = vec![
        calls.add_norm(a, Some(b), lines, Some(c), low),
        calls.norm_add_norm(a, lines, b, c, lines, d, low),
        calls.norm_backward(&NormBackward {
            dy: a,
            x: b,
            weight: line,
            residual: Some(c),
            dx: d,
            low: Some(low),
            total: Some(e),
            partials,
            rms: false,
        }),
        calls.enter(
            rows,
            &Enter { tokens, kept_from: 2, y: Some(a), ending, predictions: Some(points), next: Some(next) },
        ),
        calls.leave(&Leave {
            rows,
            tokens,
            kept_from: 2,
            after: Some(after),
            before: Some(before),
            partials,
        }),
        calls.squared_loss(points, targets, one, two),
        calls.place(a, positions),
        calls.place_backward(a, positions),
        calls.gelu(wide, wide),
        calls.gelu_backward(wide, wide, wide),
        calls.adam(&update, settings, decision),
        calls.narrow(a, low),
        calls.scan(&scan_of(line), States::default(), low, low, tokens),
        calls.scan_backward(
            &scan_of(line),
            None,
            States::default(),
            [low, low],
            low,
            scan_kept,
            scan_sums,
            tokens,
        ),
        calls.attention(Cores::Plain, seen, [qkv, low], None, logs),
        calls.attention_backward(Cores::Plain, seen, [qkv, low], Some(low), [None; 2], logs, qkv),
        calls.attention(Cores::Tensor, seen, [qkv, low], None, logs),
        calls.attention_backward(Cores::Tensor, seen, [qkv, low], Some(low), [None; 2], logs, qkv),
    ];
    let floats = Calls { source: Source { storage: Storage::F32, ..SOURCE } };
    let mut ints = |len: usize| layout.floats(len);
    let picks = Picks { tokens, reads: ints(2), picked: ints(tokens) };
    let [short, long] = [3 * 2, rows].map(|rows| layout.floats(rows * width));
    let [dots, dot_sums, turns] = [6, 2 * (width + 1), tokens * 16].map(|len| layout.floats(len));
    let shifted = Shifted { tokens, width, by: 2 };
    let whole = |rows: Span| Columns { rows, of: width, from: 0 };
    let (before, last) = (Some(layout.floats(3 * width)), Some(layout.floats(3 * width)));
    all.extend([
        calls.gelu_of(long, layout.place(Element::Bf16, rows * width)),
        calls.gelu_turn(low, a, true),
        floats.add_rows(a, b),
        floats.copy_rows(a, b),
        floats.add_and_copy_rows(a, b, c),
        floats.fill_rows(a, 1.0),
        floats.gather_rows(a, picks, short, width),
        floats.scatter_rows(short, picks, a, width, true),
        floats.keep_rows(a, b, [tokens, width], [1, 3], 0.5),
        floats.order_rows(a, b, [tokens, b.len() / (tokens * width)], true),
        floats.move_columns(whole(a), whole(b), rows, width, false),
        floats.shift_rows(shifted, a, before, b, last),
        floats.lookup_rows(dots, line, layout.floats(6 * width)),
        floats.lookup_rows_backward(dots, short, line),
        floats.add_positions(a, positions, b),
        floats.add_positions_backward(a, positions),
        floats.rotate_rows(a, turns, b, [tokens, width], [16, width], 0, false),
        floats.dot_rows(a, line, Some(one), Some(picks), dots),
        floats.dot_rows_backward([dots, a, line], Some(picks), b, dot_sums),
        floats.losses(&Losses {
            loss: Loss::Classes,
            loops: 2,
            predictions: short,
            targets: dots.part(0, 3),
            slopes: short,
            apart: 3 * width,
            share: one,
            times: 1.0,
            partials: two,
        }),
        floats
            .add_totals(&[Totals { goal: line, parts: vec![(partials, width)] }], &mut Layout::default())
            .map(|(operation, _)| operation),
        floats.loss_total(dots, one),
        floats.partial_sums(layout.floats(15 * 3), layout.floats(5 * 3), 3),
    ]);
    for (form, [columns, inner]) in
        [(Form::Forward, [3072, 2]), (Form::Forward, [5, 4]), (Form::Input, [3072, 2]), (Form::Input, [5, 4])]
    {
        let [outputs, inputs] = if form == Form::Forward { [columns, inner] } else { [inner, columns] };
        let bias = (form == Form::Forward).then(|| layout.floats(columns));
        let [left, right, out] = [3 * inner, columns * inner, 3 * columns].map(|len| layout.floats(len));
        let start = Some(out);
        let product =
            Product { form, math: Math::F32, rows: 3, outputs, inputs, left, right, bias, start, out };
        all.push(floats.few_rows(&product));
    }
    all.extend(floats.shift_rows_backward(shifted, a, last, b, before, false).unwrap().into_iter().map(Ok));
    for pair in [
        calls.column_sums(low, partials, line),
        calls.column_sums(a, partials, line),
        calls.decide(a, points, settings, decision),
    ] {
        all.extend(pair.unwrap().map(Ok));
    }
    all.into_iter().map(Result::unwrap).collect()
}

#[test]
fn every_kernel_is_given_what_its_declaration_takes() {
    let mut called = Vec::new();
    for operation in every_call() {
        let Operation::Launch(launch) = operation else { panic!("not a launch") };
        assert_eq!(launch.problem(), None, "{}", launch.kernel);
        called.push(launch.kernel.into_owned());
    }
    let missing: Vec<_> =
        SIGNATURES.keys().filter(|kernel| called.iter().all(|called| called != *kernel)).collect();
    assert!(missing.is_empty(), "no call of {missing:?}");
}

#[test]
fn a_place_too_short_of_another_element_or_badly_aligned_is_refused() {
    let calls = Calls { source: SOURCE };
    let mut layout = Layout::default();
    let (x, y) = (layout.floats(640), layout.place(Element::Bf16, 640));
    let line = Some(layout.floats(64));
    let text = |result: Result<Operation>| result.unwrap_err().to_string();
    assert!(calls.add_norm(x, None, [line, line], None, y).is_ok());
    let short = y.part(0, 639);
    assert_eq!(
        text(calls.add_norm(x, None, [line, line], None, short)),
        "add_norm: argument 5 holds 639 Bf16, not 640 Bf16"
    );
    assert_eq!(
        text(calls.add_norm(x, None, [line, line], None, x)),
        "add_norm: argument 5 holds 640 F32, not 640 Bf16"
    );
    let odd = layout.place(Element::Bf16, 641).part(1, 640);
    assert_eq!(
        text(calls.add_norm(x, None, [line, line], None, odd)),
        "add_norm: argument 5 isn't aligned to 4 bytes"
    );
}
