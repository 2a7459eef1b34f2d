//! A diagonal state space made discrete: from its parameters to what a token does to a state.

use candle_core::{Result, Tensor};
use looped_core::graph::ops::{CpuKernel, CudaText, Custom};
use looped_core::graph::{Reach, Rows, Shape};

/// The step of a channel whose `log_dt` is 0: the middle, of logarithms, of where steps start.
const MIDDLE_STEP: f64 = 0.01;

/// From `log_dt` (D), `log_a` and `b` (states of all channels, D for each number) to decay and gain, each as long as `log_a`, by the formula at
/// [`Ssm`](crate::Ssm).
#[derive(Debug)]
pub(super) struct Discrete;

impl Custom for Discrete {
    fn name(&self) -> String {
        "discrete state space".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        let [log_dt, log_a, b] = inputs else { return Err("it takes three values".to_owned()) };
        if inputs.iter().any(|shape| shape.rows != Rows::Once) {
            return Err("it takes one row of each".to_owned());
        }
        if log_dt.width == 0 || !log_a.width.is_multiple_of(log_dt.width) || b != log_a {
            return Err("log_a and b are equally long, some states for each number of log_dt".to_owned());
        }
        Ok(vec![*log_a; 2])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn meaning(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let width = inputs[0].elem_count();
        let states = inputs[1].elem_count() / width;
        let numbers: Vec<f32> = (1..=states).map(|n| n as f32).collect();
        let numbers =
            Tensor::from_vec(numbers, (states, 1), inputs[1].device())?.to_dtype(inputs[1].dtype())?;
        let step = (inputs[0].reshape((1, width))?.exp()? * MIDDLE_STEP)?;
        let rate = inputs[1].reshape((states, width))?.exp()?.broadcast_mul(&numbers)?;
        let lost = rate.broadcast_mul(&step)?;
        let decay = lost.neg()?.exp()?;
        // 1 - decay in a form that doesn't cancel where little is lost: tanh(z / 2) = (1 - e^-z) / (1 + e^-z).
        let gone = ((lost * 0.5)?.tanh()? * (&decay + 1.0)?)?;
        let gain = ((gone / rate)? * inputs[2].reshape((states, width))?)?;
        [decay, gain].iter().map(|all| all.reshape((1, 1, states * width))).collect()
    }

    fn cpu(&self) -> Option<&dyn CpuKernel> {
        Some(self)
    }

    fn cuda(&self) -> Option<CudaText> {
        Some(CudaText { forward: FORWARD, backward: BACKWARD })
    }
}

/// In doubles, as on the CPU: where little is lost, decay is nearly 1. The middle step stands in both.
const FORWARD: &str = "
    for (int i = thread; i < width_out_0; i += threads) {
      double rate = (i / width_in_0 + 1) * exp(static_cast<double>(in_1[i]));
      double lost = 0.01 * exp(static_cast<double>(in_0[i % width_in_0])) * rate;
      double gone = -expm1(-lost);
      out_0[i] = static_cast<float>(1 - gone);
      out_1[i] = static_cast<float>(gone / rate * in_2[i]);
    }";

/// A thread takes all states of a channel, which share its `log_dt`. By the logarithm of `lost`, the rate being held; of it `log_dt` and `log_a`
/// are both a part.
const BACKWARD: &str = "
    for (int channel = thread; channel < width_in_0; channel += threads) {
      double step = 0.01 * exp(static_cast<double>(in_0[channel]));
      float sum = 0;
      for (int i = channel; i < width_in_1; i += width_in_0) {
        double rate = (i / width_in_0 + 1) * exp(static_cast<double>(in_1[i]));
        double lost = step * rate, gone = -expm1(-lost), taken = gone / rate;
        float of_lost = (dout_1[i] * in_2[i] / static_cast<float>(rate) - dout_0[i]) * static_cast<float>((1 - gone) * lost);
        sum += of_lost;
        din_1[i] += of_lost - dout_1[i] * static_cast<float>(taken * in_2[i]);
        din_2[i] += dout_1[i] * static_cast<float>(taken);
      }
      din_0[channel] += sum;
    }";

/// One state of one channel.
struct One {
    rate: f64,
    /// What it loses in a token, as a power of e: step times rate.
    lost: f64,
    /// What it takes in of an input if b is 1: (1 - decay) / rate.
    taken: f64,
    decay: f64,
}

/// The state numbered `i` of all: first those numbered 0 of each channel. By libm, whose results don't depend on the system's C library.
fn one(i: usize, log_dt: &[f32], log_a: &[f32]) -> One {
    let width = log_dt.len();
    let rate = (i / width + 1) as f64 * libm::exp(f64::from(log_a[i]));
    let lost = MIDDLE_STEP * libm::exp(f64::from(log_dt[i % width])) * rate;
    One { rate, lost, taken: -libm::expm1(-lost) / rate, decay: libm::exp(-lost) }
}

impl CpuKernel for Discrete {
    fn forward(&self, inputs: &[&[f32]], results: &mut [&mut [f32]]) {
        let ([log_dt, log_a, b], [decay, gain]) = (inputs, results) else {
            unreachable!("`shapes` was asked")
        };
        for i in 0..log_a.len() {
            let one = one(i, log_dt, log_a);
            decay[i] = one.decay as f32;
            gain[i] = (one.taken * f64::from(b[i])) as f32;
        }
    }

    fn backward(&self, inputs: &[&[f32]], dresults: &[&[f32]], dinputs: &mut [&mut [f32]]) {
        let ([log_dt, log_a, b], [ddecay, dgain]) = (inputs, dresults) else {
            unreachable!("`shapes` was asked")
        };
        let [dlog_dt, dlog_a, db] = dinputs else { unreachable!("`shapes` was asked") };
        for i in 0..log_a.len() {
            let One { rate, lost, taken, decay } = one(i, log_dt, log_a);
            let gain = (taken * f64::from(b[i])) as f32;
            let [rate, lost, taken, decay] = [rate, lost, taken, decay].map(|number| number as f32);
            db[i] += dgain[i] * taken;
            // By the logarithm of `lost`, the rate being held; of it `log_dt` and `log_a` are both a part.
            let dlog_lost = (dgain[i] * b[i] / rate - ddecay[i]) * decay * lost;
            dlog_dt[i % log_dt.len()] += dlog_lost;
            dlog_a[i] += dlog_lost - dgain[i] * gain;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// Two numbers of `log_dt`, three states of each channel.
    const INPUTS: [&[f32]; 3] =
        [&[-1.5, 2.0], &[0.3, -0.2, 0.0, 0.7, -3.0, 0.1], &[1.0, -2.0, 0.5, 0.25, 3.0, 1.5]];
    const DRESULTS: [&[f32]; 2] = [&[1.0, 0.5, -2.0, 0.25, 1.5, -1.0], &[0.7, -0.3, 2.0, 1.0, -1.0, 0.4]];

    #[test]
    fn the_kernel_computes_what_the_meaning_says_and_its_derivatives() -> Result<()> {
        let row = |numbers: &[f32]| Tensor::from_slice(numbers, (1, 1, numbers.len()), &Device::Cpu);
        let vars =
            INPUTS.iter().map(|numbers| Var::from_tensor(&row(numbers)?)).collect::<Result<Vec<_>>>()?;
        let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let results = Discrete.meaning(&tensors)?;
        let mut sum = Tensor::zeros((), candle_core::DType::F32, &Device::Cpu)?;
        for (result, dresult) in results.iter().zip(DRESULTS) {
            sum = (sum + (result * row(dresult)?)?.sum_all()?)?;
        }
        let gradients = sum.backward()?;

        let (mut decay, mut gain) = ([0.0; 6], [0.0; 6]);
        Discrete.forward(&INPUTS, &mut [&mut decay, &mut gain]);
        let (mut dlog_dt, mut dlog_a, mut db) = ([0.0; 2], [0.0; 6], [0.0; 6]);
        Discrete.backward(&INPUTS, &DRESULTS, &mut [&mut dlog_dt, &mut dlog_a, &mut db]);

        let all = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let close = |found: &[f32], expected: Vec<f32>| {
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() <= 1e-5 * expected.abs().max(0.01),
                    "{found}, not {expected}"
                );
            }
        };
        close(&decay, all(&results[0])?);
        close(&gain, all(&results[1])?);
        for (found, var) in [&dlog_dt[..], &dlog_a, &db].into_iter().zip(&vars) {
            close(found, all(gradients.get(var.as_tensor()).unwrap())?);
        }
        Ok(())
    }
}
