//! Running means, and Adam's step: in place for tensors in this machine's memory, where nothing is allocated; as candle's operations elsewhere.

use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Result, Tensor, Var, bail};

/// The contiguous floats of a tensor's storage.
fn floats<'a>(name: &str, storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("{name} takes contiguous f32 tensors only"),
    }
}

fn floats_mut<'a>(name: &str, storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => bail!("{name} takes contiguous f32 tensors only"),
    }
}

/// Whether a tensor lies in this machine's memory.
pub(super) fn on_cpu(value: &Tensor) -> bool {
    value.device().is_cpu()
}

/// `mean = keep * mean + (1 - keep) * value`.
///
/// # Errors
/// If a tensor isn't f32 or a shape differs.
pub(crate) fn average(mean: &Var, value: &Tensor, keep: f64) -> Result<()> {
    if value.shape() != mean.shape() {
        bail!("a value of shape {:?} for a mean of {:?}", value.shape(), mean.shape());
    }
    if on_cpu(mean) {
        return mean.inplace_op2(&value.contiguous()?, &Average { keep, squared: false });
    }
    mean.set(&((mean.as_tensor() * keep)? + (value * (1.0 - keep))?)?)
}

/// `mean = keep * mean + (1 - keep) * value^power`.
pub(super) struct Average {
    pub(super) keep: f64,
    pub(super) squared: bool,
}

impl InplaceOp2 for Average {
    fn name(&self) -> &'static str {
        "a running average of gradients"
    }

    fn cpu_fwd(
        &self,
        moment: &mut CpuStorage,
        to: &Layout,
        gradient: &CpuStorage,
        from: &Layout,
    ) -> Result<()> {
        let moment = floats_mut(InplaceOp2::name(self), moment, to)?;
        let gradient = floats(InplaceOp2::name(self), gradient, from)?;
        let (keep, share) = (self.keep as f32, (1.0 - self.keep) as f32);
        for (m, g) in moment.iter_mut().zip(gradient) {
            let g = if self.squared { g * g } else { *g };
            *m = keep * *m + share * g;
        }
        Ok(())
    }
}

/// `parameter -= shrink * parameter + step_size * first / (second_scale * sqrt(second) + eps)`.
///
/// A factor `1 - shrink` would lose the last bits of `shrink` at every step, always to the same side.
pub(super) struct Descent {
    pub(super) step_size: f64,
    pub(super) second_scale: f64,
    pub(super) eps: f64,
    /// The part of the parameter that is taken away.
    pub(super) shrink: f64,
}

impl InplaceOp3 for Descent {
    fn name(&self) -> &'static str {
        "Adam's update"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        to: &Layout,
        first: &CpuStorage,
        of_first: &Layout,
        second: &CpuStorage,
        of_second: &Layout,
    ) -> Result<()> {
        let parameter = floats_mut(InplaceOp3::name(self), parameter, to)?;
        let first = floats(InplaceOp3::name(self), first, of_first)?;
        let second = floats(InplaceOp3::name(self), second, of_second)?;
        let (step_size, scale) = (self.step_size as f32, self.second_scale as f32);
        let (eps, shrink) = (self.eps as f32, self.shrink as f32);
        for ((p, m), v) in parameter.iter_mut().zip(first).zip(second) {
            *p -= shrink * *p + m / (v.sqrt() * scale + eps) * step_size;
        }
        Ok(())
    }
}

impl Descent {
    /// The same as operations that every device has.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub(super) fn composed(&self, parameter: &Var, first: &Var, second: &Var) -> Result<()> {
        let denominator = ((second.sqrt()? * self.second_scale)? + self.eps)?;
        let change = (first.div(&denominator)? * self.step_size)?;
        let change =
            if self.shrink == 0.0 { change } else { ((parameter.as_tensor() * self.shrink)? + change)? };
        parameter.set(&(parameter.as_tensor() - change)?)
    }
}
