//! Every gradient is there, and is the slope of the loss.

use candle_core::{DType, Device, Tensor, Var};
use looped_core::graph::{Node, Op};
use looped_core::{Error, LoopPlan, Objective, ParamStore, Prompts, Rng};
use looped_reference::{ReferenceModel, Step};

use crate::model::SEED;

const STEP: Step =
    Step { plan: LoopPlan { loops: 3, window: 3 }, loss_loops: 2, objective: Objective::SquaredError };

/// For each parameter, along a direction drawn at random: there the loss must change as the gradient says, whatever cuts or scales the graph.
pub(crate) fn agree_with_differences(
    model: &ReferenceModel,
    store: &ParamStore,
    prompts: &Prompts,
) -> Result<(), String> {
    let stops = |node: &Node| node.op().is_some_and(Op::stops_gradient);
    if model.graph().nodes().iter().any(stops) {
        // Its gradients aren't the loss's slopes, and aren't meant to be.
        return Ok(());
    }
    let text = |error: Error| error.to_string();
    let prompts = prompts.slice(0..2);
    let var = |leaf: &Tensor| Var::from_tensor(&leaf.to_dtype(DType::F64).unwrap().detach()).unwrap();
    let vars: Vec<Var> = model.leaves(store).map_err(text)?.iter().map(var).collect();
    let values = || vars.iter().map(|var| var.as_tensor().clone()).collect::<Vec<Tensor>>();
    let loss = |values: Vec<Tensor>| model.loss(values, &prompts, STEP).map_err(text);
    let gradients = loss(values())?.backward().map_err(|error| error.to_string())?;
    for (i, (info, var)) in model.graph().params().iter().zip(&vars).enumerate() {
        let name = &info.name;
        let direction: Vec<f64> =
            Rng::stream(SEED, name, 0).normals(info.len()).into_iter().map(f64::from).collect();
        let direction = Tensor::from_vec(direction, info.dims.as_slice(), &Device::Cpu).unwrap();
        let along = |gradient: &Tensor| -> f64 {
            (gradient * &direction).unwrap().sum_all().unwrap().to_scalar().unwrap()
        };
        let told = gradients.get(var.as_tensor()).map_or(0.0, along);
        let at = |distance: f64| -> Result<f64, String> {
            let mut values = values();
            values[i] = (&values[i] + (&direction * distance).unwrap()).unwrap();
            Ok(loss(values)?.to_scalar().unwrap())
        };
        // Of four points, so that third derivatives don't matter.
        let length = 1e-4;
        let slope =
            (8.0 * (at(length)? - at(-length)?) - (at(2.0 * length)? - at(-2.0 * length)?)) / (12.0 * length);
        if (slope - told).abs() > 1e-7 * slope.abs().max(1.0) {
            return Err(format!(
                "{name}: its gradient is {told} along a direction in which the loss has the slope {slope}"
            ));
        }
        if told.abs() <= 1e-12 {
            return Err(format!("{name}: its gradient is 0: the loss doesn't depend on it"));
        }
    }
    Ok(())
}
