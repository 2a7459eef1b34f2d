//! The recorded form of every built-in block asks for the parameters that the other form has.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use looped_blocks as _;
use looped_core::graph::{Block, Params};
use looped_core::{
    BlockConfig, Device, Kind, LoopedModel, ModelConfig, ModelDims, ParamStore, Part, typetag,
};

const BLOCKS: [&str; 5] = [
    r#"{"type":"transformer","n_head":3}"#,
    r#"{"type":"lstm"}"#,
    r#"{"type":"ssm","n_state":3}"#,
    r#"{"type":"sequential","blocks":[{"type":"transformer","n_head":2},{"type":"lstm"}]}"#,
    r#"{"type":"sequential","blocks":[{"type":"sequential","blocks":[{"type":"ssm"}]}]}"#,
];

fn model(block: &str, injector: &str) -> ModelConfig {
    ModelConfig {
        n_dims: 3,
        n_positions: 7,
        n_embd: 12,
        n_layer: 2,
        pretrained_path: None,
        block: serde_json::from_str(block).unwrap(),
        injector: serde_json::from_str(injector).unwrap(),
    }
}

fn values(store: &ParamStore) -> BTreeMap<String, Vec<f32>> {
    let all = |var: &candle_core::Var| var.flatten_all().unwrap().to_vec1().unwrap();
    store.iter().map(|(name, var)| (name.to_owned(), all(var))).collect()
}

#[test]
fn every_registered_block_is_recorded_with_the_names_shapes_and_first_values_of_its_other_form() {
    // Those that have no other form.
    const ALONE: [&str; 2] = ["llama", "loop_embedding"];
    for part in Part::of(Kind::Block).iter().filter(|part| !ALONE.contains(&part.tag)) {
        assert!(BLOCKS.iter().any(|block| block.contains(&format!("\"{}\"", part.tag))), "{}", part.tag);
    }
    for block in BLOCKS {
        let config = model(block, r#"{"type":"full"}"#);
        let graph = config.graph().unwrap().unwrap();
        let asked: BTreeMap<String, Vec<usize>> =
            graph.params().iter().map(|info| (info.name.clone(), info.dims.clone())).collect();
        assert_eq!(asked, LoopedModel::outline(&config).unwrap(), "{block}");

        let [mut built, mut recorded] = [0, 1].map(|_| ParamStore::new(5, &Device::Cpu));
        LoopedModel::build(Arc::new(config), &mut built).unwrap();
        recorded.of_graph(&graph).unwrap();
        assert_eq!(values(&recorded), values(&built), "{block}");
    }
}

#[test]
fn every_registered_injector_is_recorded_and_adds_no_parameters() {
    let count = |injector: &str| model(BLOCKS[0], injector).graph().unwrap().unwrap().params().len();
    let injectors = [
        r#"{"type":"last_n","n":4,"operation":"multiply"}"#,
        r#"{"type":"last_n","n":-1}"#,
        r#"{"type":"first_n","n":2}"#,
        r#"{"type":"none"}"#,
    ];
    for injector in injectors {
        assert_eq!(count(injector), count(r#"{"type":"full"}"#), "{injector}");
    }
}

#[test]
fn nodes_are_called_after_the_block_they_belong_to() {
    let graph = model(BLOCKS[3], r#"{"type":"full"}"#).graph().unwrap().unwrap();
    let scope = |name: &str| {
        let found = graph.nodes().iter().filter(|node| node.name() == name);
        found.map(|node| node.scope.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(scope("recur"), ["h.0.1", "h.1.1"]);
    assert_eq!(scope("attention"), ["h.0.0", "h.1.0"]);
    assert_eq!(scope("linear `_read_out`"), ["read_out"]);
}

/// A block whose operations are counted over its recorded form.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Counted {
    inner: Box<dyn BlockConfig>,
}

#[typetag::serde(name = "counted")]
impl BlockConfig for Counted {
    fn record(&self, dims: &ModelDims, params: &mut Params<'_>) -> Option<Box<dyn Block>> {
        self.inner.record(dims, params)
    }
}

#[test]
fn operations_counted_over_the_recorded_form_are_those_counted_by_hand() {
    let dims = ModelDims { n_dims: 3, n_positions: 7, n_embd: 12, n_layer: 2 };
    for block in BLOCKS {
        let inner: Box<dyn BlockConfig> = serde_json::from_str(block).unwrap();
        let expected = [0..9, 4..9].map(|tokens| inner.flops(&dims, tokens));
        let counted = Counted { inner };
        assert_eq!([0..9, 4..9].map(|tokens| counted.flops(&dims, tokens)), expected, "{block}");
    }
}
