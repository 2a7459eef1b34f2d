//! Adam's update in place, for tensors in this machine's memory: three passes, and nothing allocated.

use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Result, Tensor, bail};

pub(crate) const BETA_1: f64 = 0.9;
pub(crate) const BETA_2: f64 = 0.999;
pub(crate) const EPS: f64 = 1e-8;

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

/// `moment = keep * moment + (1 - keep) * gradient^power`.
struct Average {
    keep: f64,
    squared: bool,
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

/// `parameter -= step_size * first / (second_scale * sqrt(second) + EPS)`.
pub(crate) struct Descent {
    pub(crate) step_size: f64,
    pub(crate) second_scale: f64,
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
        let (step_size, scale, eps) = (self.step_size as f32, self.second_scale as f32, EPS as f32);
        for ((p, m), v) in parameter.iter_mut().zip(first).zip(second) {
            *p -= m / (v.sqrt() * scale + eps) * step_size;
        }
        Ok(())
    }
}

impl Descent {
    /// Brings both moments up to date with `gradient`, then moves the parameter.
    ///
    /// # Errors
    /// If a tensor isn't f32 or a shape differs.
    pub(crate) fn update(&self, [parameter, first, second]: [&Tensor; 3], gradient: &Tensor) -> Result<()> {
        if gradient.shape() != parameter.shape() {
            bail!("a gradient of shape {:?} for a parameter of {:?}", gradient.shape(), parameter.shape());
        }
        let gradient = gradient.contiguous()?;
        first.inplace_op2(&gradient, &Average { keep: BETA_1, squared: false })?;
        second.inplace_op2(&gradient, &Average { keep: BETA_2, squared: true })?;
        parameter.inplace_op3(first, second, self)
    }
}
