//! The device that tests run on.

use looped_core::{Device, cuda_device};

/// The CPU, or the device that the environment variable `LOOPED_TEST_DEVICE` names: `cpu`, or `cuda:N` in a build with CUDA.
///
/// ```
/// // Without the variable:
/// # if std::env::var_os("LOOPED_TEST_DEVICE").is_none() {
/// assert!(looped_testing::device().is_cpu());
/// # }
/// ```
#[must_use]
pub fn device() -> Device {
    let Ok(name) = std::env::var("LOOPED_TEST_DEVICE") else { return Device::Cpu };
    match (name.as_str(), name.strip_prefix("cuda:").map(str::parse)) {
        ("cpu", _) => Device::Cpu,
        (_, Some(Ok(index))) => cuda_device(index).unwrap(),
        _ => panic!("LOOPED_TEST_DEVICE is {name:?}; allowed: cpu, cuda:0, cuda:1, ..."),
    }
}
