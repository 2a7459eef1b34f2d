//! Gradients of all parameters: their norm, and what bounds it.

use std::collections::BTreeMap;

use candle_core::{CpuStorage, Storage, Tensor};

use crate::Result;

/// A gradient for each parameter, by name.
pub type Gradients = BTreeMap<String, Tensor>;

/// The Euclidean norm over all gradients together.
///
/// # Errors
/// If a tensor operation fails.
pub fn global_norm(gradients: &Gradients) -> Result<f64> {
    let (mut squares, mut elsewhere) = (0.0, Vec::new());
    for gradient in gradients.values() {
        match sum_of_squares(gradient) {
            Some(sum) => squares += sum,
            None => elsewhere.push(gradient.sqr()?.sum_all()?),
        }
    }
    if !elsewhere.is_empty() {
        // One copy back for all, since the host waits for the device at each.
        squares += Tensor::stack(&elsewhere, 0)?.to_vec1::<f32>()?.into_iter().map(f64::from).sum::<f64>();
    }
    Ok(squares.sqrt())
}

/// Of a gradient that lies in the host's memory in one piece.
fn sum_of_squares(gradient: &Tensor) -> Option<f64> {
    let (storage, layout) = gradient.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(all)), Some((start, end))) => {
            // A small sum at a time, so that rounding stays small.
            let sums = all[start..end].chunks(256).map(|some| some.iter().map(|g| g * g).sum::<f32>());
            Some(sums.map(f64::from).sum())
        }
        _ => None,
    }
}

/// Scales all gradients so that their global norm is at most `largest`.
///
/// # Errors
/// If a tensor operation fails.
pub fn clip(gradients: &mut Gradients, norm: f64, largest: f64) -> Result<()> {
    if norm > largest { scale(gradients, largest / norm) } else { Ok(()) }
}

/// Multiplies all gradients by a factor.
///
/// # Errors
/// If a tensor operation fails.
pub(crate) fn scale(gradients: &mut Gradients, factor: f64) -> Result<()> {
    for gradient in gradients.values_mut() {
        *gradient = (&*gradient * factor)?;
    }
    Ok(())
}

/// The sums of two gradients for each parameter; both have the same names.
///
/// # Errors
/// If a tensor operation fails.
pub(crate) fn added(mut to: Gradients, of: &Gradients) -> Result<Gradients> {
    for (name, gradient) in &mut to {
        if let Some(other) = of.get(name) {
            *gradient = (&*gradient + other)?;
        }
    }
    Ok(to)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_norm_counts_gradients_in_one_piece_and_others() {
        let numbers: Vec<f32> = (0..1200).map(|i| (i % 7) as f32 - 3.0).collect();
        let whole = Tensor::from_vec(numbers.clone(), (30, 40), &Device::Cpu).unwrap();
        let expected = (3.0 * numbers.iter().map(|x| f64::from(x * x)).sum::<f64>()).sqrt();
        let turned = whole.t().unwrap();
        assert!(!turned.is_contiguous());
        let gradients = [("a", whole), ("b", turned.clone()), ("c", turned)];
        let gradients = gradients.map(|(name, gradient)| (name.to_owned(), gradient)).into();
        let norm = global_norm(&gradients).unwrap();
        assert!((norm / expected - 1.0).abs() < 1e-6, "{norm} for {expected}");
    }
}
