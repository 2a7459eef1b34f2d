//! Values from and to safetensors files.

use std::collections::HashMap;

use looped_gpu::Arena;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::Result;
use crate::model::{Shape, Values, interleave};
use crate::operations::Step;

fn floats(tensor: &TensorView<'_>) -> Vec<f32> {
    tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Sizes and values: parameters by name, `xs` (batch, points, dims), `ys` (batch, points), and in the metadata `heads`,
/// `loops` and `window`.
pub(crate) fn read(path: &str) -> Result<(Shape, Values)> {
    let bytes = std::fs::read(path)?;
    let (_, header) = SafeTensors::read_metadata(&bytes)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let number = |key: &str| -> Result<usize> { Ok(metadata.get(key).ok_or(format!("no {key}"))?.parse()?) };
    let file = SafeTensors::deserialize(&bytes)?;
    let (xs, ys) = (file.tensor("xs")?, file.tensor("ys")?);
    let positions = file.tensor("_backbone.transformer.wpe.weight")?;
    let shape = Shape {
        width: positions.shape()[1],
        heads: number("heads")?,
        dims: xs.shape()[2],
        batch: xs.shape()[0],
        tokens: 2 * xs.shape()[1] - 1,
        loops: number("loops")?,
        window: number("window")?,
        positions: positions.shape()[0],
        kept_from: 0,
    };
    let parameters = shape.parameters().into_iter().map(|(name, sides)| {
        let tensor = file.tensor(name)?;
        if tensor.shape() != sides || tensor.dtype() != Dtype::F32 {
            return Err(format!("{name} is {:?} {:?}", tensor.dtype(), tensor.shape()).into());
        }
        Ok(floats(&tensor))
    });
    let parameters = parameters.collect::<Result<_>>()?;
    let targets = floats(&ys);
    Ok((shape, Values { parameters, tokens: interleave(shape, &floats(&xs), &targets), targets }))
}

/// Writes the loss, the predictions (window, batch, points) and a gradient for each parameter.
pub(crate) fn write(path: &str, step: &Step, arena: &Arena) -> Result<()> {
    let shape = step.shape;
    let mut tensors = vec![
        ("loss".to_owned(), vec![1], arena.read_floats(step.loss)?),
        (
            "predictions".to_owned(),
            vec![shape.window, shape.batch, shape.points()],
            arena.read_floats(step.predictions)?,
        ),
    ];
    for ((name, sides), span) in shape.parameters().into_iter().zip(step.parts(step.gradients)) {
        tensors.push((name.to_owned(), sides, arena.read_floats(span)?));
    }
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, sides, values)| (name, sides, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, sides, bytes)| Ok((name.clone(), TensorView::new(Dtype::F32, sides.clone(), bytes)?)));
    let views = views.collect::<Result<HashMap<_, _>>>()?;
    safetensors::serialize_to_file(&views, None, std::path::Path::new(path))?;
    Ok(())
}
