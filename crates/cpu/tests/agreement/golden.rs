//! The bits of a step, of predictions and of every gradient, on each instruction set: those of the hand-written engine that this one replaced.

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
/// Of a state space without its gradients: they add up in another order than in the engine before, to numbers that were up to 7e-7 of the
/// largest apart.
const GOLDEN: [[u64; 2]; 18] = [
    [0xd10f_db28_8396_6b70, 0xdcf3_13f7_62cb_fec4],
    [0x6591_702d_0ac2_d3a4, 0x9e24_08ee_e831_2b98],
    [0xb433_3d64_e04b_b1a0, 0x7e0a_d0bc_a146_ad5e],
    [0x029d_8db6_4259_bad0, 0xcaaa_7466_8f86_e7f9],
    [0xbb2c_d8b9_0675_c450, 0x6d2c_6a91_07ea_a595],
    [0x55e1_a2bb_3f35_176a, 0x400d_9ee2_a1c8_efa7],
    [0x3a28_f10a_e941_6e28, 0x66b2_0476_90cd_e8f7],
    [0x420e_3f39_b6a5_7aa2, 0x2a61_56bb_1d85_c65d],
    [0xe6c1_0503_f821_e24f, 0x3766_f882_e913_ec59],
    [0x5259_84a9_d246_99ec, 0x7b19_f74d_2625_b63c],
    [0xd6a0_cf48_505c_7502, 0x6e3a_c3e1_9cdb_d94b],
    [0xa343_79af_98ae_a309, 0x5918_6f33_3b6a_0fec],
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
    let (loss, mut gradients) = model.step(&store, &case.data(), step(case, precision)).unwrap();
    if case.block == BLOCKS[2] {
        gradients.clear();
    }
    let predictions = model.predictor(&store, precision).predict(&case.data(), case.plan.loops).unwrap();
    let values = gradients.values().flatten().chain(&predictions.values);
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
