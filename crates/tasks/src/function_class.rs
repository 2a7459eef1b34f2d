//! What every function class shares: an f per prompt, evaluated at inputs that f knows nothing of.

use looped_core::{Error, Prompts, Request, Result, Rng, Task, typetag};

use crate::Distribution;
use crate::inputs::Inputs;

/// A function of one x.
pub type Function = Box<dyn Fn(&[f32]) -> f64>;

/// A task whose y is f(x) for an f drawn afresh for each prompt.
///
/// Its [`Task::sample`] is one call of [`sample`]. A class registered with typetag under its task's tag can be
/// [`Shifted`](crate::Shifted).
#[typetag::serde(tag = "type")]
pub trait FunctionClass: Task + Send + Sync {
    /// Draws an f that depends on the first `dims` coordinates of x alone.
    fn draw(&self, dims: usize, rng: &mut Rng) -> Function;

    /// What a prompt shows of `value`, that is f(x): `value` itself, unless labels are noisy.
    fn observe(&self, value: f64, dims: usize, rng: &mut Rng) -> f64 {
        let _ = (dims, rng);
        value
    }

    /// How many coordinates of x are drawn, the others being 0: those in use, unless the class says otherwise.
    fn input_dims(&self, request: Request) -> usize {
        request.dims
    }
}

/// Draws prompts of a function class, x being standard normal.
///
/// Each prompt takes one number from `rng` and draws all else from streams that this number names: `function` (f),
/// `inputs` (x) and `labels` (noise). So prompt i doesn't depend on how many prompts follow it, nor its f on where it
/// is evaluated, nor its first points on how many there are.
///
/// # Errors
/// If the request's `dims` is 0 or above its `n_dims`.
pub fn sample(class: &dyn FunctionClass, request: Request, rng: &mut Rng) -> Result<Prompts> {
    sample_over(class, &Distribution::Standard {}, request, rng)
}

/// [`sample`] over any inputs.
pub(crate) fn sample_over(
    class: &dyn FunctionClass,
    distribution: &Distribution,
    request: Request,
    rng: &mut Rng,
) -> Result<Prompts> {
    let Request { prompts, points, dims, n_dims, .. } = request;
    if dims == 0 || dims > n_dims {
        return Err(Error::Data(format!("dims is {dims}; allowed: 1 to n_dims, {n_dims}")));
    }
    let inputs = Inputs { distribution, points, dims: class.input_dims(request), width: n_dims };
    inputs.check().map_err(Error::Data)?;
    let (mut xs, mut ys) =
        (Vec::with_capacity(prompts * points * n_dims), Vec::with_capacity(prompts * points));
    for _ in 0..prompts {
        let prompt = rng.bits();
        let f = class.draw(dims, &mut Rng::stream(prompt, "function", 0));
        let start = xs.len();
        inputs.draw(prompt, &mut xs);
        let mut noise = Rng::stream(prompt, "labels", 0);
        ys.extend(xs[start..].chunks_exact(n_dims).map(|x| {
            let value = f(x) * distribution.output_factor();
            let shown = class.observe(value, dims, &mut noise);
            (shown + distribution.label_noise(&mut noise)) as f32
        }));
    }
    Ok(Prompts::pairs(xs, ys, [prompts, points, n_dims]))
}
