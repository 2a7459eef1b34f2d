//! Every built-in block passes the checks that plugins pass.

use looped_blocks as _;
use looped_core::{BlockConfig, Kind, ModelDims, Part};
use looped_testing::{block_is_causal, block_splits, fused_agrees, gradients_are_true, round_trips};

const WIDTH: usize = 12;

const BLOCKS: [&str; 5] = [
    r#"{"type":"transformer","n_head":3}"#,
    r#"{"type":"transformer","n_head":1}"#,
    r#"{"type":"lstm"}"#,
    r#"{"type":"ssm","n_state":3}"#,
    r#"{"type":"sequential","blocks":[{"type":"transformer","n_head":2},{"type":"lstm"}]}"#,
];

fn blocks() -> impl Iterator<Item = Box<dyn BlockConfig>> {
    BLOCKS.iter().map(|table| serde_json::from_str(table).expect("a valid table"))
}

/// A softmax ignores a shift of all its scores, so keys' bias has no gradient; `c_attn.bias` holds it beside those of
/// queries and values, whose gradients keep the whole non-zero.
#[test]
fn gradients_agree_with_finite_differences() {
    blocks().for_each(|block| gradients_are_true(block.as_ref(), WIDTH, &[]));
}

#[test]
fn blocks_are_causal_and_keep_the_shape() {
    blocks().for_each(|block| block_is_causal(block.as_ref(), WIDTH));
}

#[test]
fn a_prefix_and_its_extension_give_the_whole() {
    blocks().for_each(|block| block_splits(block.as_ref(), WIDTH));
}

#[test]
fn fused_forms_agree_with_candle() {
    blocks().for_each(|block| fused_agrees(block.as_ref(), WIDTH));
}

/// An LSTM's products have a row for each sequence, and a stack with an LSTM in it has an LSTM's.
#[test]
fn an_lstm_asks_for_more_sequences_together_wherever_it_stands() {
    let dims = ModelDims { n_dims: 3, n_positions: 4, n_embd: WIDTH, n_layer: 1 };
    let least = blocks().map(|block| block.fused(&dims).expect("it has a fused form").least_sequences());
    assert_eq!(least.collect::<Vec<_>>(), [1, 1, 4, 1, 4]);
}

#[test]
fn tables_round_trip() {
    BLOCKS.iter().for_each(|table| round_trips::<dyn BlockConfig>(table));
}

#[test]
fn the_list_of_blocks_is_complete() {
    let tags: Vec<&str> = Part::of(Kind::Block).iter().map(|part| part.tag).collect();
    assert_eq!(tags, ["llama", "loop_embedding", "lstm", "sequential", "ssm", "transformer"]);
    assert!(Part::of(Kind::Block).iter().all(|part| part.help().len() > 20));
}

/// The trap that `gradients_are_true` is there for: candle's fused layer norm has no backward pass.
mod cut {
    use candle_core::Tensor;
    use looped_core::{Block, BlockConfig, Init, ModelDims, Params, Result, typetag};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Serialize, Deserialize)]
    struct Cut {}

    struct CutBlock(Tensor, Tensor);

    impl Block for CutBlock {
        fn forward(&self, x: &Tensor) -> Result<Tensor> {
            Ok((x + candle_nn::ops::layer_norm(x, &self.0, &self.1, 1e-5)?)?)
        }
    }

    #[typetag::serde(name = "cut")]
    impl BlockConfig for Cut {
        fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Result<Box<dyn Block>> {
            let mut get = |name, init| params.get(name, dims.n_embd, init);
            Ok(Box::new(CutBlock(get("weight", Init::Ones)?, get("bias", Init::Zeros)?)))
        }

        fn flops(&self, _: &ModelDims, _: std::ops::Range<usize>) -> u64 {
            0
        }
    }

    #[test]
    #[should_panic(expected = "h.0.bias gets no gradient")]
    fn a_cut_gradient_is_caught() {
        looped_testing::gradients_are_true(&Cut {}, super::WIDTH, &[]);
    }
}
