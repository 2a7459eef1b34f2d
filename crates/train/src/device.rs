//! Where tensors live: `auto`, `cpu` or `cuda:N`.

use candle_core::Device;
use looped_core::cuda_device;

use crate::{Result, Target, TrainError};

/// The device called `name`: `cpu`, `cuda:N`, `metal`, or `auto` for the first GPU that candle can use in this build, else the CPU.
///
/// Whether there is such a GPU shows when a model is made on it.
///
/// # Errors
/// If the name isn't known, or this build doesn't support the device.
pub fn device(name: &str) -> Result<Target> {
    Ok(device_and_note(name)?.0)
}

/// [`device`], and where `auto` could use no GPU though this build is for one, a sentence that says why.
///
/// # Errors
/// As [`device`].
pub fn device_and_note(name: &str) -> Result<(Target, Option<String>)> {
    let refused = |why: String| TrainError::Refused(format!("--device {name}: {why}"));
    let target = match name {
        "cpu" => Device::Cpu.into(),
        "auto" if candle_core::utils::cuda_is_available() => {
            let (device, note) = or_cpu(cuda_device(0));
            let gpu = if device.is_cpu() { device.into() } else { Target::Cuda(0) };
            return Ok((gpu, note));
        }
        "auto" if candle_core::utils::metal_is_available() => metal().map_err(refused)?.into(),
        "auto" => Device::Cpu.into(),
        "cuda" => Target::Cuda(0),
        "metal" => metal().map_err(refused)?.into(),
        _ => match name.strip_prefix("cuda:").map(str::parse) {
            Some(Ok(index)) => Target::Cuda(index),
            _ => {
                return Err(refused(
                    "unknown device; allowed: auto, cpu, cuda:0, cuda:1, ..., metal".to_owned(),
                ));
            }
        },
    };
    Ok((target, None))
}

/// A device as in `--device`, with why `auto` takes it where that was asked for.
#[must_use]
pub fn device_in_words(target: &Target, asked: &str) -> String {
    let name = target.name();
    let gpus = candle_core::utils::cuda_is_available() || candle_core::utils::metal_is_available();
    match (asked, target.is_cpu()) {
        ("auto", true) if gpus => format!("{name} (--device auto: no GPU can be used)"),
        ("auto", true) => format!("{name} (--device auto: a GPU is taken by --device cuda:0)"),
        ("auto", false) => format!("{name} (--device auto: the first GPU that this program can use)"),
        _ => name,
    }
}

/// The GPU, or the CPU and the reason.
fn or_cpu(gpu: looped_core::Result<Device>) -> (Device, Option<String>) {
    match gpu {
        Ok(device) => (device, None),
        Err(error) => (Device::Cpu, Some(format!("--device auto takes the CPU: {error}"))),
    }
}

fn metal() -> Result<Device, String> {
    if !candle_core::utils::metal_is_available() {
        return Err(
            "this program was built without Metal; build it with `--features metal`, or use --device cpu"
                .to_owned(),
        );
    }
    Device::new_metal(0).map_err(|error| format!("the Metal device can't be opened: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_served_say_what_can() {
        assert!(device("auto").is_ok() && device("cpu").unwrap().is_cpu());
        for name in ["gpu", "cuda:x", "cuda:"] {
            let message = device(name).unwrap_err().to_string();
            assert!(message.contains("allowed: auto, cpu, cuda:0"), "{message}");
        }
        assert_eq!(device("cuda:1").unwrap().name(), "cuda:1");
    }

    #[test]
    fn a_device_that_was_chosen_is_told_with_the_reason() {
        let cpu = device_in_words(&Device::Cpu.into(), "auto");
        assert!(cpu.starts_with("cpu (--device auto: "), "{cpu}");
        assert_eq!(device_in_words(&Device::Cpu.into(), "cpu"), "cpu");
    }

    #[test]
    fn auto_takes_the_cpu_and_says_why_where_no_gpu_can_be_used() {
        let no_gpu = Err(looped_core::Error::Device("this machine has no CUDA device".to_owned()));
        let (device, note) = or_cpu(no_gpu);
        assert!(device.is_cpu());
        assert_eq!(note.unwrap(), "--device auto takes the CPU: this machine has no CUDA device");
        assert!(or_cpu(Ok(Device::Cpu)).1.is_none());
    }
}
