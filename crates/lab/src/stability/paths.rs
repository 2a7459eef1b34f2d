//! The way of a prompt's state, in the plane in which most of it lies.

use serde::{Deserialize, Serialize};

use crate::eigen::{Eigen, dot};

/// Most states of a path.
pub(super) const MOST: usize = 200;

/// The states of a prompt, all tokens together, along the first principal components of its own path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Path {
    /// Which prompt, from 0.
    pub prompt: usize,
    /// The loops after which the states are, from 1: all, or evenly spaced ones.
    pub loops: Vec<usize>,
    /// The coordinates along the first, second and third component, a value for each of these loops.
    pub components: [Vec<f64>; 3],
    /// The part of the path's variance that lies along each.
    pub shares: [f64; 3],
}

/// The loops that are kept of so many; the last is among them.
pub(super) fn shown(loops: usize) -> Vec<usize> {
    let step = loops.div_ceil(MOST);
    let mut shown: Vec<usize> = (1..=loops).rev().step_by(step).collect();
    shown.reverse();
    shown
}

impl Path {
    /// The path of `states`, (loops, anything).
    pub(super) fn of(prompt: usize, loops: &[usize], states: &[f32]) -> Self {
        let (count, size) = (loops.len(), states.len() / loops.len());
        let mut mean = vec![0.0; size];
        for state in states.chunks_exact(size) {
            mean.iter_mut().zip(state).for_each(|(mean, &v)| *mean += f64::from(v) / count as f64);
        }
        let centred: Vec<Vec<f64>> = states
            .chunks_exact(size)
            .map(|state| state.iter().zip(&mean).map(|(&v, mean)| f64::from(v) - mean).collect())
            .collect();
        // The products of the states have the eigenvalues of their covariance, and are far fewer.
        let products = (0..count * count).map(|i| dot(&centred[i / count], &centred[i % count])).collect();
        let Eigen { values, vectors } = Eigen::of(products, count);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let whole: f64 = values.iter().sum();
        let component = |n: usize| match order.get(n) {
            Some(&i) => {
                let (length, own) = (values[i].max(0.0).sqrt(), &vectors[i * count..(i + 1) * count]);
                // The path ends on the positive side: the sign is the decomposition's whim.
                let sign = if own[count - 1] < 0.0 { -1.0 } else { 1.0 };
                own.iter().map(|v| sign * length * v).collect()
            }
            None => vec![0.0; count],
        };
        let share = |n: usize| {
            order.get(n).map_or(0.0, |&i| if whole > 0.0 { values[i].max(0.0) / whole } else { 0.0 })
        };
        Self {
            prompt,
            loops: loops.to_vec(),
            components: [component(0), component(1), component(2)],
            shares: [share(0), share(1), share(2)],
        }
    }
}
