//! Where an injector adds the positions changes nothing but rounding.

use looped_core::graph::Init;
use looped_core::{Injector, Rng};

use crate::gives::of_injector;
use crate::model::SEED;

/// A multiple of no vector's length.
pub(crate) const WIDTH: usize = 10;
const TOKENS: usize = 7;

/// What the injector gives with positions is what it gives without them, and the positions.
pub(crate) fn agrees(injector: &dyn Injector) -> Result<(), String> {
    let rows = |name: &str| -> Vec<[f64; WIDTH]> {
        let numbers = Rng::stream(SEED, name, 0).normals(TOKENS * WIDTH);
        numbers.as_chunks().0.iter().map(|row| row.map(f64::from)).collect()
    };
    let (state, input) = (rows("state"), rows("input"));
    let [placed, apart] = [true, false].map(|placed| {
        let value = |name: &str, i: usize| f64::from(Rng::stream(SEED, name, i as u64).normals(1)[0]);
        of_injector(injector, [&state, &input], value, |injector, state, at, params| {
            let positions = params.get("positions", [TOKENS, WIDTH], Init::Zeros);
            if placed {
                injector.placed(state, at, positions)
            } else {
                injector.inject(state, at).positions(positions)
            }
        })
    });
    for (token, (placed, apart)) in placed.iter().zip(&apart).enumerate() {
        let far = placed.iter().zip(apart).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        if far > 1e-9 {
            return Err(format!(
                "`placed` gives at token {token} what is {far:.1e} away from what `inject` gives and the position"
            ));
        }
    }
    Ok(())
}
