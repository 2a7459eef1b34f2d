//! Where each parameter lies in one flat buffer of all, and each gradient in another.

use std::ops::Range;

use candle_core::{Storage, Var};
use looped_core::fused::{FusedBlock, cut_len};
use looped_core::{Error, ModelDims, ParamStore, Result};

pub(crate) struct Layout {
    /// Name and place of every parameter, in the order of the buffer.
    pub(crate) entries: Vec<(String, Range<usize>)>,
    /// (width, n_dims).
    pub(crate) read_in_weight: Range<usize>,
    /// (width).
    pub(crate) read_in_bias: Range<usize>,
    /// (2 n_positions + 1, width).
    pub(crate) positions: Range<usize>,
    /// (width).
    pub(crate) norm_weight: Range<usize>,
    /// (width).
    pub(crate) norm_bias: Range<usize>,
    /// (width).
    pub(crate) read_out_weight: Range<usize>,
    /// (1).
    pub(crate) read_out_bias: Range<usize>,
    /// The blocks' parameters, one after another.
    pub(crate) backbone: Range<usize>,
    /// The entries that are the blocks'.
    backbone_entries: Range<usize>,
    /// Floats of the whole buffer.
    pub(crate) len: usize,
}

impl Layout {
    pub(crate) fn new(dims: ModelDims, backbone: &dyn FusedBlock) -> Self {
        let (width, rows) = (dims.n_embd, 2 * dims.n_positions + 1);
        let (mut entries, mut end) = (Vec::new(), 0);
        let mut add = |name: String, len: usize| {
            let range = end..end + len;
            end = range.end;
            entries.push((name, range.clone()));
            range
        };
        let read_in_weight = add("_read_in.weight".into(), width * dims.n_dims);
        let read_in_bias = add("_read_in.bias".into(), width);
        let positions = add("_backbone.transformer.wpe.weight".into(), rows * width);
        let norm_weight = add("_backbone.transformer.ln_f.weight".into(), width);
        let norm_bias = add("_backbone.transformer.ln_f.bias".into(), width);
        let read_out_weight = add("_read_out.weight".into(), width);
        let parameters = backbone.parameters();
        let start = read_out_weight.end;
        let backbone_entries = 6..6 + parameters.len();
        for (name, len) in parameters {
            add(format!("_backbone.transformer.{name}"), len);
        }
        // The odd one last, so that what is a multiple of a cache line long also starts on one.
        let read_out_bias = add("_read_out.bias".into(), 1);
        let backbone = start..read_out_bias.start;
        let len = cut_len(&[end]);
        Self {
            entries,
            read_in_weight,
            read_in_bias,
            positions,
            norm_weight,
            norm_bias,
            read_out_weight,
            read_out_bias,
            backbone,
            backbone_entries,
            len,
        }
    }

    /// The blocks' parameters in `params`, one by one.
    pub(crate) fn backbone_weights<'a>(&self, params: &'a [f32]) -> Vec<&'a [f32]> {
        let entries = &self.entries[self.backbone_entries.clone()];
        entries.iter().map(|(_, range)| &params[range.clone()]).collect()
    }

    /// Copies the values of `store` to `params`.
    ///
    /// # Errors
    /// If the store lacks a parameter, holds another one or one of another size, or isn't f32 on the CPU.
    pub(crate) fn read(&self, store: &ParamStore, params: &mut [f32]) -> Result<()> {
        let count = store.iter().count();
        if count != self.entries.len() {
            let message = format!("the store holds {count}, the model has {}", self.entries.len());
            return Err(Error::Parameters(message));
        }
        for (name, range) in &self.entries {
            let var = store.get(name).ok_or_else(|| Error::Parameters(format!("{name} is missing")))?;
            copy(name, var, &mut params[range.clone()])?;
        }
        Ok(())
    }
}

fn copy(name: &str, var: &Var, to: &mut [f32]) -> Result<()> {
    let refuse = |what: &str| Err(Error::Parameters(format!("{name}: {what}")));
    if var.elem_count() != to.len() {
        return refuse(&format!("has shape {:?}, the model needs {} values", var.dims(), to.len()));
    }
    let (storage, layout) = var.storage_and_layout();
    let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
        return refuse("isn't contiguous on the CPU, where the fused engine runs");
    };
    to.copy_from_slice(&storage.as_slice::<f32>()?[start..end]);
    Ok(())
}
