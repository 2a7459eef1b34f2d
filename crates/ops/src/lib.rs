//! Single-threaded CPU kernels over plain `f32` slices, for a training engine that has no autograd graph: products
//! with weights packed once, attention, layer norm, GELU, the LSTM cell and the scan of a state space, each forward and backward, and elementwise
//! programs that are made when a model is built.
//!
//! Everything hangs off [`Kernels`], a small copyable handle that names the instruction set its methods run on:
//!
//! ```
//! use looped_ops::{Kernels, PackedMatrix, Scratch, Start};
//!
//! let kernels = Kernels::best();
//! let weight = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // (out = 2, in = 3), as PyTorch's `Linear`
//! let forward = PackedMatrix::linear_forward(kernels, &weight, 2, 3); // for y = x W^T
//! let mut y = [0.0; 2];
//! kernels.matmul(&[1.0, 0.0, 1.0], &forward, Start::Bias(&[0.5, 0.5]), &mut y, &mut Scratch::new());
//! assert_eq!(y, [4.5, 10.5]);
//! ```
//!
//! Matrices are row-major and contiguous. A *row* is one token of one sequence. Kernels allocate nothing: what they need
//! beyond their arguments they take from a [`Scratch`] that grows to the largest size asked of it and stays there.
//! Each call is single-threaded and adds in a fixed order, so equal inputs give equal bits on one machine. On another they
//! do if its [`Isa`] is the same and, for AVX-512, its maker: `vrcp14ps` is specified by an error bound only.
#![allow(unsafe_code)]

mod attention;
mod buffer;
#[cfg(feature = "cuda")]
pub mod cuda;
mod elementwise;
mod gelu;
mod gemm;
mod isa;
mod math;
mod norm;
mod point;
mod scan;
mod shift;
mod simd;

pub use attention::AttentionShape;
pub use buffer::{AlignedBuffer, Scratch};
pub use gemm::{PackedMatrix, Start};
pub use isa::{Isa, Kernels, Precision};
pub use point::{Operand, Place, PointCode, PointFunc, PointResult, PointStep};
pub use scan::{Diagonal, DiagonalGradients};
