//! `scores.safetensors`: one score a prompt, so that runs can be compared prompt by prompt.
//!
//! Two runs that were scored on the same prompts differ by less than their means' intervals say: what makes a prompt
//! hard makes it hard for both. The file holds, all row-major:
//!
//! | tensor | type | shape | |
//! | --- | --- | --- | --- |
//! | `prompts` | u64 | (prompts) | a fingerprint of each prompt |
//! | `curves.NAME` | f32 | (prompts, points) | after the last loop; entry k of a row has k in-context examples |
//! | `per_loop` | f32 | (prompts, loops) | the model's at the last query |
//! | `per_loop.NAME` | f32 | (prompts, loops) | that of a baseline with a step for each loop |
//!
//! NAME is `model` or a baseline, as in `eval.json`, whose means are those of the columns. Its metadata has the `format`.

use std::collections::HashMap;

use looped_core::Prompts;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};

use crate::{Curve, Curves, Evaluation, Scores};

/// The format that is written.
const FORMAT: &str = "1";

/// What the name of a curve's tensor begins with.
const CURVES: &str = "curves.";

/// The tensor of the model's scores over loops; those of baselines have their name behind it.
const PER_LOOP: &str = "per_loop";

/// Scores are kept as f32; a mean may be that far from the one in `eval.json`, relative to it.
const ROUNDING: f64 = 1e-4;

/// The score of each prompt: what an [`Evaluation`]'s means are of.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptScores {
    /// A fingerprint of each prompt: two that differ in a y or in a coordinate in use have different ones.
    pub prompts: Vec<u64>,
    /// The model's scores and then the baselines', after the last loop: (prompts, points).
    pub curves: Vec<(String, Scores)>,
    /// The model's scores at the last query: (prompts, loops).
    pub per_loop: Scores,
    /// Those of the baselines that take a step for each loop.
    pub baselines_per_loop: Vec<(String, Scores)>,
}

impl PromptScores {
    /// The scores of the curve called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Scores> {
        self.curves.iter().find(|(other, _)| other == name).map(|(_, scores)| scores)
    }

    /// The contents of a `scores.safetensors`: the same scores give the same bytes.
    ///
    /// # Errors
    /// If the library refuses; the message says why.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let prompts: Vec<u8> = self.prompts.iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut tensors = vec![("prompts".to_owned(), Dtype::U64, vec![self.prompts.len()], prompts)];
        let named = self.curves.iter().map(|(name, scores)| (format!("{CURVES}{name}"), scores));
        let of_loops =
            self.baselines_per_loop.iter().map(|(name, scores)| (format!("{PER_LOOP}.{name}"), scores));
        for (name, scores) in named.chain([(PER_LOOP.to_owned(), &self.per_loop)]).chain(of_loops) {
            let values = scores.rows().flatten().flat_map(|&value| (value as f32).to_le_bytes());
            tensors.push((name, Dtype::F32, vec![scores.prompts(), scores.columns()], values.collect()));
        }
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        // One entry: of several, a hash map would decide the order, and so the bytes.
        let metadata = HashMap::from([("format".to_owned(), FORMAT.to_owned())]);
        views
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(|error| format!("the scores cannot be encoded: {error}"))
    }

    /// What [`encode`](Self::encode) wrote beside `evaluation`.
    ///
    /// # Errors
    /// If it is something else, or holds other scores than those that the evaluation's means are of.
    pub fn decode(bytes: &[u8], evaluation: &Evaluation) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| format!("is no safetensors file: {e}"))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let format = header.metadata().as_ref().and_then(|metadata| metadata.get("format"));
        if format.map(String::as_str) != Some(FORMAT) {
            let found = format.map_or("none", String::as_str);
            return Err(format!("has format {found}; this version of looped reads format {FORMAT}"));
        }
        let of = |tensor: &str, curve: &Curve| scores(&file, tensor, &curve.mean, evaluation.prompts);
        let all = |curves: &Curves, prefix: &str| -> Result<Vec<(String, Scores)>, String> {
            let named = curves.iter();
            named.map(|(name, curve)| Ok((name.to_owned(), of(&format!("{prefix}{name}"), curve)?))).collect()
        };
        Ok(Self {
            prompts: prompts(&file, evaluation.prompts)?,
            curves: all(&evaluation.curves, CURVES)?,
            per_loop: of(PER_LOOP, &evaluation.per_loop)?,
            baselines_per_loop: all(&evaluation.baselines_per_loop, &format!("{PER_LOOP}."))?,
        })
    }
}

/// The data of a tensor, which must have this type and shape.
fn tensor<'a>(file: &SafeTensors<'a>, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [u8], String> {
    let view = file.tensor(name).map_err(|_| format!("has no tensor {name}"))?;
    if view.dtype() == dtype && view.shape() == shape {
        Ok(view.data())
    } else {
        let (found, of) = (view.dtype(), view.shape());
        Err(format!("{name} is {found:?} {of:?}; eval.json beside it asks for {dtype:?} {shape:?}"))
    }
}

fn prompts(file: &SafeTensors<'_>, count: usize) -> Result<Vec<u64>, String> {
    let (words, _) = tensor(file, "prompts", Dtype::U64, &[count])?.as_chunks();
    Ok(words.iter().map(|&word| u64::from_le_bytes(word)).collect())
}

fn scores(file: &SafeTensors<'_>, name: &str, means: &[f64], count: usize) -> Result<Scores, String> {
    let (words, _) = tensor(file, name, Dtype::F32, &[count, means.len()])?.as_chunks();
    let mut scores = Scores::new(means.len());
    for row in words.chunks_exact(means.len()) {
        scores.push(row.iter().map(|&word| f64::from(f32::from_le_bytes(word))));
    }
    // The square of a diverged model's error may be beyond what an f32 holds.
    let differs =
        |(&is, &should): (&f64, &f64)| is.is_finite() && (is - should).abs() > ROUNDING * should.abs();
    match scores.mean().iter().zip(means).position(differs) {
        None => Ok(scores),
        Some(k) => Err(format!(
            "{name} has the mean {} in column {k}, and eval.json beside it {}: they are not of one evaluation",
            scores.mean()[k],
            means[k]
        )),
    }
}

/// The first 8 bytes of the SHA-256 of a prompt's coordinates in use and ys.
pub(crate) fn fingerprint(prompts: &Prompts, index: usize, dims: usize) -> u64 {
    let (xs, ys) = prompts.get(index);
    let used = xs.chunks_exact(prompts.n_dims).flat_map(|x| &x[..dims]);
    let mut hash = Sha256::new();
    for value in used.chain(ys) {
        hash.update(value.to_le_bytes());
    }
    let digest = hash.finalize();
    u64::from_le_bytes(std::array::from_fn(|i| digest[i]))
}
