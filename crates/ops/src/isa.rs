//! Which instruction set the kernels run on.

use crate::simd::{Kernel, Portable};

/// An instruction set the kernels are written for, from the plainest to the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// No intrinsics: whatever the compiler makes of plain Rust. Runs everywhere.
    Portable,
    /// ARM's 128-bit vectors.
    Neon,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
    /// [`Isa::Avx512`] with the instruction that multiplies pairs of bf16.
    Avx512Bf16,
}

impl Isa {
    const ALL: [Isa; 5] = [Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16];

    /// Whether this machine has it.
    pub(crate) fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            Isa::Neon => cfg!(all(target_arch = "aarch64", target_feature = "neon")),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.is_available()
                    && std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512bw")
                    && std::is_x86_feature_detected!("avx512dq")
                    && std::is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => Isa::Avx512.is_available() && std::is_x86_feature_detected!("avx512bf16"),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 | Isa::Avx512Bf16 => false,
        }
    }

    /// Every instruction set this machine has, the plainest first.
    #[must_use]
    pub fn available() -> Vec<Isa> {
        Self::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }
}

/// What matrix products compute in. Everything else, and every sum, is `f32` always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// `f32`.
    #[default]
    F32,
    /// Both sides rounded to bf16, products and sums in `f32`.
    Bf16,
}

/// A handle whose methods are the kernels, run on one instruction set, with products in one precision. Copy it freely.
///
/// Holding one proves that the machine has the instruction set: there is no other way to make it than
/// [`Kernels::best`] and [`Kernels::for_isa`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels {
    isa: Isa,
    precision: Precision,
}

impl Kernels {
    /// The fastest this machine has, with products in `f32`.
    #[must_use]
    pub fn best() -> Self {
        let isa = Isa::ALL.into_iter().rfind(|isa| isa.is_available()).unwrap_or(Isa::Portable);
        Self { isa, precision: Precision::F32 }
    }

    /// A given instruction set with products in `f32`, or `None` where this machine lacks it.
    #[must_use]
    pub fn for_isa(isa: Isa) -> Option<Self> {
        isa.is_available().then_some(Self { isa, precision: Precision::F32 })
    }

    /// The instruction set these kernels run on.
    #[must_use]
    pub fn isa(self) -> Isa {
        self.isa
    }

    /// The same instruction set with products in another precision.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// What products compute in.
    #[must_use]
    pub fn precision(self) -> Precision {
        self.precision
    }

    /// Runs a kernel, compiled for this handle's instruction set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Bf16 => {
                // SAFETY: a `Kernels` is only made of an available `Isa`.
                unsafe { crate::simd::Avx512::<false>::run(kernel) }
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                // SAFETY: as above.
                unsafe { crate::simd::Avx2::run(kernel) }
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => {
                // SAFETY: as above.
                unsafe { crate::simd::Neon::run(kernel) }
            }
            _ => kernel.run(Portable),
        }
    }

    /// As `run`, for kernels that multiply pairs of bf16.
    #[inline]
    pub(crate) fn run_pairs<K: Kernel>(self, kernel: K) -> K::Output {
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => {
                // SAFETY: a `Kernels` is only made of an available `Isa`.
                unsafe { crate::simd::Avx512::<true>::run(kernel) }
            }
            _ => self.run(kernel),
        }
    }
}

impl Default for Kernels {
    fn default() -> Self {
        Self::best()
    }
}
