//! What stands around the blocks of a loop: a prelude, a coda, positions, the norm at a loop's end.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_blocks as _;
use looped_core::{Device, ModelConfig, ParamStore, Predictor, Prompts, Rng};
use looped_graph::Flops;
use looped_reference::ReferenceModel;
use looped_testing::sound_model;

const TRANSFORMER: &str = r#"{"type":"transformer","n_head":2}"#;

/// A model of 3 coordinates and width 10, with more keys.
fn model(injector: &str, keys: &str) -> ModelConfig {
    let table = format!(
        r#"{{"n_dims":3,"n_positions":6,"n_embd":10,"n_layer":1,"block":{TRANSFORMER},"injector":{injector}{keys}}}"#
    );
    serde_json::from_str(&table).unwrap()
}

const FULL: &str = r#"{"type":"full"}"#;
const LAST: &str = r#"{"type":"last_n","n":3}"#;

fn names(config: &ModelConfig) -> Vec<String> {
    config.graph().unwrap().params().iter().map(|info| info.name.clone()).collect()
}

fn prompts() -> Prompts {
    let mut rng = Rng::stream(1, "prompts", 0);
    Prompts::pairs(rng.normals(2 * 5 * 3), rng.normals(2 * 5), [2, 5, 3])
}

#[test]
fn every_shell_can_be_trained_and_computed_alike() {
    let lstm = r#"{"type":"lstm"}"#;
    for keys in [
        format!(r#","prelude":[{TRANSFORMER}]"#),
        format!(r#","coda":[{TRANSFORMER}]"#),
        format!(
            r#","prelude":[{lstm},{TRANSFORMER}],"coda":[{TRANSFORMER},{lstm}],"positions":"once","loop_norm":"rms""#
        ),
        r#","prelude":[{"type":"transformer","n_head":2,"causal":false}]"#.to_owned(),
        r#","positions":"once""#.to_owned(),
        r#","positions":"none""#.to_owned(),
        r#","loop_norm":"rms""#.to_owned(),
        r#","loop_norm":"none""#.to_owned(),
    ] {
        for injector in [FULL, LAST, r#"{"type":"none"}"#, r#"{"type":"concat"}"#] {
            println!("{keys} under {injector}");
            sound_model(&model(injector, &keys));
        }
    }
}

#[test]
fn a_shell_asks_for_the_parameters_that_it_needs() {
    let plain = names(&model(FULL, ""));
    assert_eq!(names(&model(FULL, r#","positions":"each_loop","loop_norm":"layer""#)), plain);
    let (wpe, bias) =
        ("_backbone.transformer.wpe.weight".to_owned(), "_backbone.transformer.ln_f.bias".to_owned());
    assert!(plain.contains(&wpe) && plain.contains(&bias));
    assert!(!names(&model(FULL, r#","positions":"none""#)).contains(&wpe));
    assert!(names(&model(FULL, r#","positions":"once""#)).contains(&wpe));
    assert!(!names(&model(FULL, r#","loop_norm":"rms""#)).contains(&bias));
    assert!(!names(&model(FULL, r#","loop_norm":"none""#)).iter().any(|name| name.contains("ln_f")));
    let with =
        names(&model(FULL, &format!(r#","prelude":[{TRANSFORMER}],"coda":[{TRANSFORMER},{TRANSFORMER}]"#)));
    for first in ["_prelude.0.ln_1.weight", "_coda.0.ln_1.weight", "_coda.1.ln_1.weight"] {
        assert!(with.contains(&first.to_owned()), "{first} in {with:?}");
    }
}

/// A prelude is paid for once, a coda after each loop.
#[test]
fn a_prelude_is_computed_once() {
    let reads: Vec<usize> = (0..5).map(|point| 2 * point).collect();
    let flops = |keys: &str| looped_graph::flops(&model(FULL, keys).graph().unwrap(), 10, &reads);
    let Flops { once, each_loop } = flops("");
    let prelude = flops(&format!(r#","prelude":[{TRANSFORMER}]"#));
    assert_eq!(prelude.each_loop, each_loop);
    assert!(prelude.once > once + 10 * 24 * 10 * 10, "{prelude:?}");
    let coda = flops(&format!(r#","coda":[{TRANSFORMER}]"#));
    assert!(coda.once == once && coda.each_loop > each_loop, "{coda:?}");
}

#[test]
fn the_loops_do_not_see_the_coda_and_predictions_do() {
    let states = |keys: &str| -> (Vec<f32>, Vec<f32>) {
        let model = ReferenceModel::new(model(FULL, keys).graph().unwrap()).unwrap();
        let store = ParamStore::new(model.graph(), 2, &Device::Cpu).unwrap();
        let mut looping = model.looping(&store, &prompts(), 3).unwrap();
        (0..3).for_each(|_| looping.advance().unwrap());
        let state = looping.state().flatten_all().unwrap().to_vec1().unwrap();
        (state, model.predictor(&store).predict(&prompts(), 3).unwrap().values)
    };
    let (plain, coda) = (states(""), states(&format!(r#","coda":[{TRANSFORMER}]"#)));
    assert_eq!(plain.0, coda.0);
    assert_ne!(plain.1, coda.1);
}
