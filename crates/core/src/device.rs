//! Opening a CUDA device for candle's operations.

use candle_core::Device;

use crate::{Error, Result};

/// The CUDA device with this number, prepared for training steps.
///
/// It has a stream of its own, on which everything runs in order, so a model may move from thread to thread.
///
/// # Errors
/// If the program was built without CUDA, or the machine has no such device.
pub fn cuda_device(index: usize) -> Result<Device> {
    open(index).map_err(Error::Device)
}

#[cfg(not(feature = "cuda"))]
fn open(_: usize) -> Result<Device, String> {
    Err("this program was built without CUDA; build it with `--features cuda`, or use --device cpu"
        .to_owned())
}

#[cfg(feature = "cuda")]
fn open(index: usize) -> Result<Device, String> {
    use candle_core::cuda::cudarc::driver::CudaContext;

    let count = CudaContext::device_count()
        .map_err(|error| format!("no CUDA device can be used: {}", plain(error)))?;
    if index >= usize::try_from(count).unwrap_or(0) {
        return Err(there_is_no(index, count));
    }
    let fails = |error| format!("cuda:{index} can't be opened: {error}");
    let device = Device::new_cuda_with_stream(index).map_err(fails)?;
    let stream = device.as_cuda_device().map_err(fails)?.cuda_stream();
    looped_ops::cuda::prepare_for_one_stream(stream.context())
        .map_err(|error| format!("cuda:{index} can't be set up: {}", plain(error)))?;
    Ok(device)
}

/// The driver's own sentence.
#[cfg(feature = "cuda")]
fn plain(error: candle_core::cuda::cudarc::driver::DriverError) -> String {
    error.error_string().map_or_else(|_| format!("{error:?}"), |text| text.to_string_lossy().into_owned())
}

#[cfg(any(feature = "cuda", test))]
fn there_is_no(index: usize, count: i32) -> String {
    match count {
        ..=0 => "this machine has no CUDA device".to_owned(),
        1 => format!("there is no cuda:{index}; this machine has one CUDA device, cuda:0"),
        _ => {
            format!(
                "there is no cuda:{index}; this machine has {count} CUDA devices, cuda:0 to cuda:{}",
                count - 1
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_told_beside_those_that_are() {
        assert_eq!(there_is_no(0, 0), "this machine has no CUDA device");
        assert_eq!(there_is_no(7, 1), "there is no cuda:7; this machine has one CUDA device, cuda:0");
        assert_eq!(
            there_is_no(7, 2),
            "there is no cuda:7; this machine has 2 CUDA devices, cuda:0 to cuda:1"
        );
    }
}
