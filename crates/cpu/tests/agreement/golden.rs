//! The bits of a step, of predictions and of every gradient, on each instruction set.

use looped_core::Predictor;
use looped_cpu::Precision;
use looped_ops::{Isa, Kernels};
use looped_testing::noisy_parameters;

use crate::cases::Case;
use crate::repeat::{cpu, step};

const BLOCKS: [&str; 3] =
    [r#"{"type":"transformer","n_head":2}"#, r#"{"type":"lstm"}"#, r#"{"type":"ssm","n_state":3}"#];

const INJECTORS: [&str; 3] =
    [r#"{"type":"full"}"#, r#"{"type":"last_n","n":5}"#, r#"{"type":"first_n","n":5}"#];

/// For each block, injector and precision (f32, then bf16): the hash on AVX2 and on AVX-512.
///
/// A transformer's are those of the hand-written engine that this one replaced. So are a state space's loss and predictions; its gradients add up in
/// another order, to numbers that were up to 7e-7 of the largest apart, and aren't in the hash.
const GOLDEN: [[u64; 2]; 18] = [
    [0xd10f_db28_8396_6b70, 0xdcf3_13f7_62cb_fec4],
    [0x6591_702d_0ac2_d3a4, 0x9e24_08ee_e831_2b98],
    [0xb433_3d64_e04b_b1a0, 0x7e0a_d0bc_a146_ad5e],
    [0x029d_8db6_4259_bad0, 0xcaaa_7466_8f86_e7f9],
    [0xbb2c_d8b9_0675_c450, 0x6d2c_6a91_07ea_a595],
    [0x55e1_a2bb_3f35_176a, 0x400d_9ee2_a1c8_efa7],
    [0x5ff1_e40f_d9b8_594b, 0x85a7_2c73_affa_564f],
    [0xa149_557f_eef7_5f3e, 0x39c8_6e6d_80cf_f421],
    [0xa853_db77_7821_d185, 0x14e9_dff7_9e46_2b2c],
    [0xb9a4_9bb0_7317_c451, 0x7ce6_ab17_3400_6f85],
    [0x0e51_429d_94f2_42e9, 0xc26c_2308_8b59_6349],
    [0x7279_72ec_0a99_7769, 0x5ec0_b83c_7223_8100],
    [0xa874_9632_c660_fa33, 0x6411_de4e_500d_c503],
    [0x8683_d547_d524_f6e2, 0x0ad8_35c9_04be_fe06],
    [0x78fd_b403_be75_d1fc, 0xfd71_7993_a350_3a16],
    [0x4b3c_b140_8385_98f2, 0x2d19_ab36_3426_38ec],
    [0x1750_97d0_e112_bca4, 0xc5b1_bfa7_201f_9205],
    [0xac39_c447_cf25_56d1, 0x999b_2e6e_4d33_b047],
];

/// The loss, every gradient and the predictions of a step.
fn hash(case: &Case, isa: Isa, precision: Precision) -> u64 {
    let store = noisy_parameters(&case.model().graph().unwrap(), case.seed);
    let model = cpu(case).with_kernels(Kernels::for_isa(isa).unwrap());
    let (loss, gradients) = model.step(&store, &case.data(), step(case, precision)).unwrap();
    let all = if case.block == BLOCKS[2] { 0 } else { usize::MAX };
    let gradients = gradients.layout().by_name().take(all).flat_map(|place| &gradients[place.range.clone()]);
    let predictions = model.predictor(&store, precision).predict(&case.data(), case.plan.loops).unwrap();
    let values = gradients.chain(&predictions.values);
    let bytes = values.flat_map(|value| value.to_bits().to_le_bytes());
    fnv(loss.to_bits().to_le_bytes().into_iter().chain(bytes))
}

/// The FNV-1a hash of 64 bits.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn every_block_keeps_its_bits_on_avx2_and_avx_512() {
    let available = Isa::available();
    let settings = BLOCKS.iter().flat_map(|block| {
        INJECTORS.iter().flat_map(move |injector| {
            [Precision::F32, Precision::Bf16].map(|precision| (*block, *injector, precision))
        })
    });
    for ((block, injector, precision), expected) in settings.zip(GOLDEN) {
        let case = Case { prompts: 9, points: 8, n_embd: 32, ..Case::small(block, injector) };
        for (isa, expected) in [Isa::Avx2, Isa::Avx512].into_iter().zip(expected) {
            if available.contains(&isa) {
                let found = hash(&case, isa, precision);
                assert!(
                    found == expected,
                    "{block} under {injector} in {precision:?} on {isa:?}: {found:#018x}, not {expected:#018x}"
                );
            }
        }
    }
}
