//! Gradients of all parameters: their norm, and what bounds it.

use looped_core::Flat;

/// A gradient for each parameter.
pub type Gradients = Flat;

/// Squares that are added up in 32 bits: few, so that rounding stays small.
const SOME: usize = 256;
/// Sums of so many squares that are made at once, since each waits for its own last addition.
const SUMS: usize = 8;

/// The Euclidean norm over all gradients together.
#[must_use]
pub fn global_norm(gradients: &Gradients) -> f64 {
    // In the order of their names, by which the sum's last bits have always gone.
    let own = |place: &looped_core::Place| sum_of_squares(&gradients[place.range.clone()]);
    gradients.layout().by_name().map(own).sum::<f64>().sqrt()
}

fn sum_of_squares(gradient: &[f32]) -> f64 {
    let (groups, rest) = gradient.as_chunks::<{ SOME * SUMS }>();
    let mut squares = 0.0;
    for group in groups {
        let mut sums = [0.0_f32; SUMS];
        for i in 0..SOME {
            for (k, sum) in sums.iter_mut().enumerate() {
                let g = group[k * SOME + i];
                *sum += g * g;
            }
        }
        sums.into_iter().for_each(|sum| squares += f64::from(sum));
    }
    for some in rest.chunks(SOME) {
        squares += f64::from(some.iter().map(|g| g * g).sum::<f32>());
    }
    squares
}

/// Scales all gradients so that their global norm, which is `norm`, is at most `largest`.
pub fn clip(gradients: &mut Gradients, norm: f64, largest: f64) {
    if norm > largest {
        scale(gradients, largest / norm);
    }
}

/// Multiplies all gradients by a factor.
fn scale(gradients: &mut Gradients, factor: f64) {
    let factor = factor as f32;
    gradients.iter_mut().for_each(|gradient| *gradient *= factor);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use looped_core::Layout;

    use super::*;

    #[test]
    fn the_norm_is_that_of_all_numbers_and_clipping_bounds_it() {
        // Sizes with and without a rest, in an order that isn't that of the names.
        let named = [("b", vec![50, 100]), ("a", vec![3]), ("c", vec![2048])];
        let layout = Arc::new(Layout::new(named.map(|(name, dims)| (name.to_owned(), dims))));
        let mut gradients = Flat::zeros(layout);
        let mut squares = 0.0;
        for (of, (_, values)) in gradients.named_mut().enumerate() {
            for (i, value) in values.iter_mut().enumerate() {
                *value = ((i * (of + 3)) % 7) as f32 - 3.0;
                squares += f64::from(*value * *value);
            }
        }
        let norm = global_norm(&gradients);
        assert!((norm / squares.sqrt() - 1.0).abs() < 1e-7, "{norm} for {}", squares.sqrt());
        let before = gradients.clone();
        clip(&mut gradients, norm, 2.0 * norm);
        assert_eq!(gradients, before);
        clip(&mut gradients, norm, 0.5 * norm);
        assert!((global_norm(&gradients) / (0.5 * norm) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_norm_s_squares_are_added_in_one_order_however_many_at_once() {
        let numbers: Vec<f32> = (0..10_007).map(|i| ((i * 7919) % 1000) as f32 * 1e-3 - 0.4).collect();
        let one_by_one = numbers.chunks(SOME).map(|some| some.iter().map(|g| g * g).sum::<f32>());
        let expected: f64 = one_by_one.map(f64::from).sum();
        assert_eq!(sum_of_squares(&numbers).to_bits(), expected.to_bits());
    }
}
