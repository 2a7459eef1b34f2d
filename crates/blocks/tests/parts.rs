//! Some blocks and injectors do what their help says, number by number.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_blocks as _;
use looped_core::graph::Graph;
use looped_core::{
    BlockConfig, Device, Injector, ModelConfig, ModelDims, ParamStore, Predictor, Prompts, Rng,
};
use looped_reference::ReferenceModel;
use looped_testing::block_gives;

const TRANSFORMER: &str = r#"{"type":"transformer","n_head":2}"#;

fn block(table: &str) -> Box<dyn BlockConfig> {
    serde_json::from_str(table).unwrap()
}

fn injector(table: &str) -> Box<dyn Injector> {
    serde_json::from_str(table).unwrap()
}

fn model(block_table: &str, injector_table: &str) -> ReferenceModel {
    let (block, injector) = (block(block_table), injector(injector_table));
    let config =
        ModelConfig::new(ModelDims { n_dims: 3, n_positions: 4, n_embd: 10, n_layer: 1 }, block, injector);
    ReferenceModel::new(config.graph().unwrap()).unwrap()
}

fn store(graph: &Graph) -> ParamStore {
    ParamStore::new(graph, 4, &Device::Cpu).unwrap()
}

fn set(store: &ParamStore, name: &str, value: impl Fn(usize) -> f32) {
    let mut values = store.values_mut();
    let own = values.get_mut(name).unwrap_or_else(|| panic!("{name}: {:?}", store.layout()));
    own.iter_mut().enumerate().for_each(|(i, own)| *own = value(i));
}

fn predictions(model: &ReferenceModel, store: &ParamStore) -> Vec<Vec<f32>> {
    let mut rng = Rng::stream(4, "prompts", 0);
    let prompts = Prompts::pairs(rng.normals(2 * 4 * 3), rng.normals(2 * 4), [2, 4, 3]);
    let all = model.predictor(store).predict(&prompts, 4).unwrap();
    (0..4).map(|index| all.after(index).to_vec()).collect()
}

#[test]
fn a_closed_gate_leaves_every_loop_the_prompt_alone_and_an_open_one_the_state_alone() {
    let model = model(TRANSFORMER, r#"{"type":"learned_gate"}"#);
    let store = store(model.graph());
    set(&store, "_injector.gate.weight", |_| 0.0);
    set(&store, "_injector.gate.bias", |_| -200.0);
    let closed = predictions(&model, &store);
    assert!(closed.iter().all(|after| *after == closed[0]));
    set(&store, "_injector.gate.bias", |_| 200.0);
    let open = predictions(&model, &store);
    // x + (z - x) is z but for its last bits.
    let same =
        |after: &Vec<f32>| after[..4].iter().zip(&after[4..]).all(|(one, other)| (one - other).abs() < 1e-4);
    assert!(open.iter().all(same), "a prompt gets in: {open:?}");
    assert!(open[0] != open[1]);
}

#[test]
fn a_concat_of_two_identities_is_the_injector_full() {
    let (concat, full) =
        (model(TRANSFORMER, r#"{"type":"concat"}"#), model(TRANSFORMER, r#"{"type":"full"}"#));
    let (of_concat, of_full) = (store(concat.graph()), store(full.graph()));
    set(&of_concat, "_injector.adapter.weight", |i| f32::from(u8::from(i % 20 % 10 == i / 20)));
    set(&of_concat, "_injector.adapter.bias", |_| 0.0);
    for (one, other) in predictions(&concat, &of_concat).iter().zip(predictions(&full, &of_full)) {
        for (one, other) in one.iter().zip(other) {
            assert!((one - other).abs() < 1e-5, "{one} {other}");
        }
    }
}

/// In prompts of 8 tokens.
#[test]
fn a_pattern_is_what_says_the_same_in_another_way() {
    let after = |injector: &str| {
        let model = model(TRANSFORMER, injector);
        predictions(&model, &store(model.graph()))
    };
    let pattern = |keep: [u8; 8], period: usize| {
        let keep: Vec<bool> = keep[..period].iter().map(|kept| *kept == 1).collect();
        after(&serde_json::json!({ "type": "pattern", "keep": keep }).to_string())
    };
    // Positions are added in another order.
    let close = |one: Vec<Vec<f32>>, other: Vec<Vec<f32>>| {
        let pairs = || one.iter().flatten().zip(other.iter().flatten());
        assert!(pairs().all(|(a, b)| (a - b).abs() < 1e-6), "{one:?} {other:?}");
    };
    close(pattern([1, 1, 1, 0, 0, 0, 0, 0], 8), after(r#"{"type":"first_n","n":3}"#));
    close(pattern([0, 0, 0, 1, 1, 1, 1, 1], 8), after(r#"{"type":"last_n","n":5}"#));
    assert_eq!(pattern([1, 1, 0, 1, 1, 0, 1, 1], 8), pattern([1, 1, 0, 1, 1, 0, 1, 1], 3));
    assert_eq!(pattern([0, 1, 0, 1, 0, 1, 0, 1], 8), pattern([0, 1, 0, 1, 0, 1, 0, 1], 2));
    assert_ne!(pattern([0, 1, 0, 1, 0, 1, 0, 1], 2), pattern([1, 0, 1, 0, 1, 0, 1, 0], 2));
}

#[test]
fn loops_beyond_the_table_get_the_rows_that_are_said() {
    let of_table = |rows: usize, beyond: &str, row: fn(usize) -> f32| {
        let table = format!(
            r#"{{"type":"sequential","blocks":[{{"type":"loop_embedding","loops":{rows},"beyond":"{beyond}"}},{TRANSFORMER}]}}"#
        );
        let model = model(&table, r#"{"type":"full"}"#);
        let store = store(model.graph());
        // The first half of a row alone: the layer norm after it takes out what is the same in all of it.
        let value = |i: usize| if i % 10 < 5 { row(i / 10) } else { 0.0 };
        set(&store, "_backbone.transformer.h.0.0.weight", value);
        predictions(&model, &store)
    };
    let of = |rows: usize, row: fn(usize) -> f32| of_table(rows, "clamp", row);
    let two = of(2, |row| row as f32);
    assert_eq!(two, of(4, |row| row.min(1) as f32));
    let three = of(3, |row| row as f32);
    assert_eq!((&three[0], &three[1]), (&two[0], &two[1]));
    assert_ne!(three[2], two[2]);
    // Of four loops.
    assert_eq!(of_table(2, "wrap", |row| row as f32), of(4, |row| (row % 2) as f32));
    let stretched = of_table(2, "interpolate", |row| 6.0 * row as f32);
    let steps = of(4, |row| 2.0 * row as f32);
    for (a, b) in stretched.iter().zip(&steps).flat_map(|(a, b)| a.iter().zip(b)) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
    assert_eq!(of_table(5, "interpolate", |row| row as f32), of(4, |row| row as f32));
}

/// The llama block of `D` = 4 numbers, 2 heads and a network of `HIDDEN` = 3, number by number: its parameters, where its norms stand,
/// and the residual scale.
struct Llama<'a>(&'a dyn Fn(&str) -> Vec<f64>, &'a str, f64);

const D: usize = 4;
const HEAD: usize = 2;
const HIDDEN: usize = 3;

impl Llama<'_> {
    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let weight = (self.0)(&format!("{name}.weight"));
        weight.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let weight = (self.0)(&format!("{name}.weight"));
        let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        x.iter().zip(&weight).map(|(x, w)| x / (mean + 1e-5).sqrt() * w).collect()
    }

    /// Queries or keys of a token, head by head, normed and turned; heads are 2 wide, so each is one pair that turns by the position.
    fn turned(&self, name: &str, x: &[f64], position: usize) -> Vec<f64> {
        let (sin, cos) = (position as f64).sin_cos();
        let turn = |head: Vec<f64>| [head[0] * cos - head[1] * sin, head[0] * sin + head[1] * cos];
        x.chunks(HEAD).flat_map(|head| turn(self.norm(name, head))).collect()
    }

    /// What a half of the block sees of a token.
    fn seen(&self, name: &str, x: &[f64]) -> Vec<f64> {
        if self.1 == "post" { x.to_vec() } else { self.norm(name, x) }
    }

    /// What a half's result makes of a token.
    fn joined(&self, name: &str, x: &[f64], half: &[f64]) -> Vec<f64> {
        let out = format!("{name}_out");
        let half = if self.1 == "peri" { self.norm(&out, half) } else { half.to_vec() };
        let sum: Vec<f64> = x.iter().zip(half).map(|(x, y)| x + self.2 * y).collect();
        match self.1 {
            "post" => self.norm(name, &sum),
            "sandwich" => self.norm(&out, &sum),
            _ => sum,
        }
    }

    fn run(&self, xs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let rows: Vec<[Vec<f64>; 3]> = xs
            .iter()
            .enumerate()
            .map(|(position, x)| {
                let qkv = self.linear("attn.qkv", &self.seen("attn_norm", x));
                let turned =
                    |name: &str, part: usize| self.turned(name, &qkv[part * D..(part + 1) * D], position);
                [turned("attn.q_norm", 0), turned("attn.k_norm", 1), qkv[2 * D..].to_vec()]
            })
            .collect();
        xs.iter()
            .enumerate()
            .map(|(at, x)| {
                let mut mixed = vec![0.0; D];
                for head in (0..D).step_by(HEAD) {
                    let score = |key: &[f64]| -> f64 {
                        let sum: f64 = (head..head + HEAD).map(|i| rows[at][0][i] * key[i]).sum();
                        (sum / (HEAD as f64).sqrt()).exp()
                    };
                    let scores: Vec<f64> = rows[..=at].iter().map(|row| score(&row[1])).collect();
                    for (score, row) in scores.iter().zip(&rows) {
                        (head..head + HEAD)
                            .for_each(|i| mixed[i] += score / scores.iter().sum::<f64>() * row[2][i]);
                    }
                }
                let x = self.joined("attn_norm", x, &self.linear("attn.proj", &mixed));
                let normed = self.seen("mlp_norm", &x);
                let gate = self.linear("mlp.gate", &normed).into_iter().map(|g| g / (1.0 + (-g).exp()));
                let hidden: Vec<f64> =
                    gate.zip(self.linear("mlp.up", &normed)).map(|(g, up)| g * up).collect();
                self.joined("mlp_norm", &x, &self.linear("mlp.down", &hidden))
            })
            .collect()
    }
}

#[test]
fn a_llama_block_computes_what_its_formulas_say() {
    let numbers = |name: &str, count: usize| -> Vec<f64> {
        Rng::stream(4, name, 0).normals(count).into_iter().map(f64::from).collect()
    };
    let tokens: [[f64; D]; 6] =
        std::array::from_fn(|t| numbers(&format!("token {t}"), D).try_into().unwrap());
    let count = |name: &str| match name {
        "attn_norm.weight" | "mlp_norm.weight" | "attn_norm_out.weight" | "mlp_norm_out.weight" => D,
        "attn.q_norm.weight" | "attn.k_norm.weight" => HEAD,
        "attn.qkv.weight" => 3 * D * D,
        "attn.proj.weight" => D * D,
        "mlp.gate.weight" | "mlp.up.weight" | "mlp.down.weight" => HIDDEN * D,
        other => panic!("there is no {other}"),
    };
    let value = |name: &str| numbers(name, count(name));
    for (placement, scale) in [("pre", 1.0), ("pre", 0.5), ("post", 1.0), ("peri", 0.25), ("sandwich", 2.0)] {
        let table = format!(
            r#"{{"type":"llama","n_head":2,"hidden":3,"norm":"{placement}","residual_scale":{scale}}}"#
        );
        let found = block_gives(block(&table).as_ref(), &tokens, |name, i| value(name)[i]);
        let expected = Llama(&value, placement, scale).run(&tokens.map(Vec::from));
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            // Cosines and sines are 32 bits wide.
            let far = (found - expected).abs();
            assert!(far < 1e-5 * expected.abs().max(1.0), "{placement} {scale}: {found} {expected}");
        }
    }
}

/// A transformer whose halves give a bias each, whatever they see.
#[test]
fn norms_of_a_transformer_stand_where_they_are_said_to() {
    const WIDTH: usize = 6;
    const SCALE: f64 = 0.5;
    type Row = [f64; WIDTH];
    let row = |name: &str| -> Row {
        Rng::stream(5, name, 0)
            .normals(WIDTH)
            .into_iter()
            .map(f64::from)
            .collect::<Vec<f64>>()
            .try_into()
            .unwrap()
    };
    let norm = |name: &str, x: Row| -> Row {
        let mean = x.iter().sum::<f64>() / WIDTH as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / WIDTH as f64;
        let (weight, bias) = (row(&format!("{name}.weight")), row(&format!("{name}.bias")));
        std::array::from_fn(|i| (x[i] - mean) / (variance + 1e-5).sqrt() * weight[i] + bias[i])
    };
    let sum = |x: Row, y: Row| -> Row { std::array::from_fn(|i| x[i] + SCALE * y[i]) };
    type Half<'a> = &'a dyn Fn(&str, Row, Row) -> Row;
    let placements: [(&str, Half<'_>); 4] = [
        ("pre", &|_, x, y| sum(x, y)),
        ("post", &|name, x, y| norm(name, sum(x, y))),
        ("peri", &|name, x, y| sum(x, norm(&format!("{name}_out"), y))),
        ("sandwich", &|name, x, y| norm(&format!("{name}_out"), sum(x, y))),
    ];
    let tokens = [row("first token"), row("second token")];
    for (placement, half) in placements {
        let table =
            format!(r#"{{"type":"transformer","n_head":2,"norm":"{placement}","residual_scale":{SCALE}}}"#);
        let found = block_gives(block(&table).as_ref(), &tokens, |name, i| match name {
            name if name.starts_with("ln_") => row(name)[i],
            "attn.c_proj.bias" | "mlp.c_proj.bias" => row(name)[i],
            name if name.contains("c_proj") => 0.0,
            _ => 0.1,
        });
        for (found, token) in found.iter().zip(tokens) {
            let x = half("ln_1", token, row("attn.c_proj.bias"));
            let expected = half("ln_2", x, row("mlp.c_proj.bias"));
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9, "{placement}: {found} {expected}");
            }
        }
    }
}
