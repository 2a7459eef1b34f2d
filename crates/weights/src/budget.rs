//! What a file may cost.

use std::fmt::Display;

use crate::Problem;

/// The memory that reading a file may take: a small multiple of its size, and a little for the smallest files.
///
/// Whatever a file makes its reader allocate is spent here first. Nothing is handed back, so the budget bounds the
/// sum of all allocations, and their peak with it.
pub(crate) struct Budget {
    size: u64,
    left: u64,
}

impl Budget {
    /// Honest files need about 3: a storage, its elements (twice as long when they were half floats), a shared one.
    const TIMES_SIZE: u64 = 16;
    const AT_LEAST: u64 = 256 << 10;

    pub(crate) fn of_file(bytes: &[u8]) -> Self {
        let size = bytes.len() as u64;
        Self { size, left: Self::limit(size) }
    }

    fn limit(size: u64) -> u64 {
        size.saturating_mul(Self::TIMES_SIZE).saturating_add(Self::AT_LEAST)
    }

    /// Takes `bytes` for `what` out of the budget.
    pub(crate) fn spend(&mut self, bytes: u64, what: impl Display) -> Result<(), Problem> {
        let (size, limit) = (self.size, Self::limit(self.size));
        self.left = self.left.checked_sub(bytes).ok_or_else(|| Problem::TooLarge {
            what: what.to_string(),
            asks: bytes,
            size,
            limit,
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_once() {
        let mut budget = Budget::of_file(&[0; 1000]);
        let all = 16_000 + (256 << 10);
        budget.spend(all - 1, "most").unwrap();
        budget.spend(1, "the rest").unwrap();
        let error = budget.spend(1, "tensor `w`").unwrap_err().to_string();
        assert!(error.starts_with("tensor `w` asks for 1 bytes, more than is left of the 278144"), "{error}");
    }
}
