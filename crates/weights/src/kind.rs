//! The kinds of number that tensors hold.

use half::{bf16, f16};

/// A kind of number, in little-endian bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F16,
    Bf16,
    F32,
    F64,
    /// An integer, a truth value, a complex number: never a weight here, and never read.
    Other,
}

impl Kind {
    /// Bytes of one number; `None` for a kind that is never read.
    pub(crate) fn size(self) -> Option<usize> {
        match self {
            Self::F16 | Self::Bf16 => Some(2),
            Self::F32 => Some(4),
            Self::F64 => Some(8),
            Self::Other => None,
        }
    }

    /// The `count` numbers that stand at `positions` in `bytes`; `None` if one of them stands outside.
    pub(crate) fn read(
        self,
        bytes: &[u8],
        positions: impl Iterator<Item = usize>,
        count: usize,
    ) -> Option<Vec<f32>> {
        match self {
            Self::F16 => gather(bytes, positions, count, |b| f16::from_le_bytes(b).to_f32()),
            Self::Bf16 => gather(bytes, positions, count, |b| bf16::from_le_bytes(b).to_f32()),
            Self::F32 => gather(bytes, positions, count, f32::from_le_bytes),
            Self::F64 => gather(bytes, positions, count, |b| f64::from_le_bytes(b) as f32),
            Self::Other => None,
        }
    }
}

fn gather<const N: usize>(
    bytes: &[u8],
    positions: impl Iterator<Item = usize>,
    count: usize,
    number: impl Fn([u8; N]) -> f32,
) -> Option<Vec<f32>> {
    let (numbers, _) = bytes.as_chunks::<N>();
    let mut data = Vec::with_capacity(count);
    for position in positions.take(count) {
        data.push(number(*numbers.get(position)?));
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_becomes_a_float() {
        let read = |kind: Kind, bytes: &[u8], at: usize| kind.read(bytes, std::iter::once(at), 1);
        assert_eq!(read(Kind::F16, &f16::from_f32(-1.5).to_le_bytes(), 0), Some(vec![-1.5]));
        assert_eq!(read(Kind::Bf16, &bf16::from_f32(0.25).to_le_bytes(), 0), Some(vec![0.25]));
        assert_eq!(read(Kind::F32, &[0, 0, 0, 0, 0, 0, 0x80, 0x3f], 1), Some(vec![1.0]));
        assert_eq!(read(Kind::F64, &1e-3f64.to_le_bytes(), 0), Some(vec![1e-3]));
        assert_eq!(read(Kind::F64, &1e-3f64.to_le_bytes(), 1), None);
        assert_eq!(read(Kind::Other, &[1, 2, 3], 0), None);
    }
}
