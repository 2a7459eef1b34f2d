//! Checks of injectors: shapes, the invariant prefix, gradients.

use candle_core::{Device, Tensor, Var};
use looped_core::{Injector, LoopStep, Rng};

const BATCH: usize = 2;
const WIDTH: usize = 4;
/// Sequences shorter and longer than the settings of most injectors.
const LENGTHS: [usize; 4] = [1, 2, 7, 24];
/// Loops at which an injector is looked at: it may do something else in each.
const LOOPS: usize = 4;

fn tokens(name: &str, count: usize) -> Tensor {
    let values = Rng::stream(11, name, 0).normals(BATCH * count * WIDTH);
    Tensor::from_vec(values, (BATCH, count, WIDTH), &Device::Cpu).unwrap()
}

fn whole(index: usize, tokens: usize) -> LoopStep {
    LoopStep { index, tokens, first_token: 0 }
}

fn same(a: &Tensor, b: &Tensor) -> bool {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values(a) == values(b)
}

/// The first state and every loop's input have the shape of the embedded prompt, and are finite.
pub fn injector_keeps_the_shape(injector: &dyn Injector) {
    for count in LENGTHS {
        let (state, input) = (tokens("state", count), tokens("input", count));
        let first = injector.initial(&input).unwrap();
        let injected = |index| injector.inject(&state, &input, whole(index, count)).unwrap();
        for (what, result) in std::iter::once(("the first state", first))
            .chain((0..LOOPS).map(|index| ("a loop's input", injected(index))))
        {
            assert_eq!(result.dims(), input.dims(), "{what} has another shape than the {count} tokens given");
            let values = result.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(values.iter().all(|v| v.is_finite()), "{what} isn't finite at {count} tokens");
        }
    }
}

/// The tokens of [`Injector::invariant_prefix`] never see the state and get the same input in every loop, to the bit;
/// and the others get the same input whether the prefix is there or left out (`at.first_token`).
///
/// A model computes such a prefix once, so an injector that claims too much gives other predictions, without a word.
/// Holds trivially for one that claims no prefix.
pub fn injector_prefix_is_invariant(injector: &dyn Injector) {
    for count in LENGTHS {
        let prefix = injector.invariant_prefix(count);
        assert!(prefix <= count, "the invariant prefix has {prefix} of {count} tokens");
        let input = tokens("input", count);
        let first = injector.inject(&injector.initial(&input).unwrap(), &input, whole(0, count)).unwrap();
        for index in 0..LOOPS {
            let state = tokens(&format!("state {index}"), count);
            let injected = injector.inject(&state, &input, whole(index, count)).unwrap();
            for token in 0..prefix {
                let at = |tensor: &Tensor| tensor.narrow(1, token, 1).unwrap();
                assert!(
                    same(&at(&injected), &at(&first)),
                    "token {token} of {count} is in the invariant prefix of {prefix}, \
                     but its input in loop {index} isn't that of the first loop"
                );
            }
            let rest = count - prefix;
            if rest == 0 {
                continue;
            }
            let after = |tensor: &Tensor| tensor.narrow(1, prefix, rest).unwrap();
            let at = LoopStep { index, tokens: count, first_token: prefix };
            let split = injector.inject(&after(&state), &after(&input), at).unwrap();
            assert_eq!(
                split.dims(),
                [BATCH, rest, WIDTH],
                "the shape changes after {prefix} of {count} tokens"
            );
            assert!(
                same(&split, &after(&injected)),
                "with the first {prefix} of {count} tokens left out, the others' input in loop {index} changes"
            );
        }
    }
}

/// The gradients with respect to state and input agree with finite differences, along a random direction of each.
///
/// A gradient may be zero by nature, but no operation may cut it: an injector that stops gradients on purpose is the
/// only one that may fail here.
pub fn injector_gradients_are_true(injector: &dyn Injector) {
    const COUNT: usize = 7;
    for index in 0..LOOPS {
        let weights = tokens("weights", COUNT);
        let state = Var::from_tensor(&tokens("state", COUNT)).unwrap();
        let input = Var::from_tensor(&tokens("input", COUNT)).unwrap();
        let loss = || {
            let injected =
                injector.inject(state.as_tensor(), input.as_tensor(), whole(index, COUNT)).unwrap();
            (injected * &weights).unwrap().sum_all().unwrap()
        };
        let gradients = loss().backward().unwrap();
        for (name, var) in [("state", &state), ("input", &input)] {
            let direction = tokens("direction", COUNT);
            let told = gradients.get(var.as_tensor()).map_or(0.0, |gradient| {
                let along = (gradient * &direction).unwrap().sum_all().unwrap();
                along.to_scalar::<f32>().unwrap()
            });
            let start = var.as_tensor().copy().unwrap();
            let length = 1e-2;
            let at = |distance: f64| {
                var.set(&(&start + (&direction * distance).unwrap()).unwrap()).unwrap();
                loss().to_scalar::<f32>().unwrap()
            };
            let slope = (at(length) - at(-length)) / (2.0 * length as f32);
            var.set(&start).unwrap();
            assert!(
                (slope - told).abs() < 0.02 * slope.abs() + 0.01,
                "in loop {index}, the gradient with respect to the {name} is {told} along a direction in which the slope is {slope}"
            );
        }
    }
}
