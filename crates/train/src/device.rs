//! Where tensors live: `auto`, `cpu` or `cuda:N`.

use candle_core::Device;

use crate::{Result, TrainError};

/// The device called `name`: `cpu`, `cuda:N`, `metal`, or `auto` for the first GPU of a build that has one.
///
/// # Errors
/// If the name isn't known, this build doesn't support the device, or the machine lacks it.
pub fn device(name: &str) -> Result<Device> {
    let refused = |why: String| TrainError::Refused(format!("--device {name}: {why}"));
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" if candle_core::utils::cuda_is_available() => cuda(0).map_err(refused),
        "auto" if candle_core::utils::metal_is_available() => metal().map_err(refused),
        "auto" => Ok(Device::Cpu),
        "cuda" => cuda(0).map_err(refused),
        "metal" => metal().map_err(refused),
        _ => match name.strip_prefix("cuda:").map(str::parse) {
            Some(Ok(index)) => cuda(index).map_err(refused),
            _ => Err(refused("unknown device; allowed: auto, cpu, cuda:0, cuda:1, ..., metal".to_owned())),
        },
    }
}

fn cuda(index: usize) -> Result<Device, String> {
    if !candle_core::utils::cuda_is_available() {
        return Err(
            "this program was built without CUDA; build it with `--features cuda`, or use --device cpu"
                .to_owned(),
        );
    }
    Device::new_cuda(index).map_err(|error| format!("the CUDA device can't be opened: {error}"))
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
        assert!(device("auto").is_ok() && matches!(device("cpu"), Ok(Device::Cpu)));
        for name in ["gpu", "cuda:x", "cuda:"] {
            let message = device(name).unwrap_err().to_string();
            assert!(message.contains("allowed: auto, cpu, cuda:0"), "{message}");
        }
        if !candle_core::utils::cuda_is_available() {
            let message = device("cuda:1").unwrap_err().to_string();
            assert!(message.contains("--features cuda"), "{message}");
        }
    }
}
