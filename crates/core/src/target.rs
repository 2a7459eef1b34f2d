//! Where a model is computed.

use candle_core::{Device, DeviceLocation};

/// Where a model is computed: by tensors' operations where tensors live, or by the CUDA engine.
///
/// What takes one takes a candle device too.
#[derive(Clone, Debug)]
pub enum Target {
    /// Where tensors live. On the CPU the fused engine computes there too.
    Tensors(Device),
    /// The GPU `cuda:N`, by kernels of our own. Every build has them. Parameters live on the CPU.
    Cuda(usize),
}

impl From<&Device> for Target {
    fn from(device: &Device) -> Self {
        Self::Tensors(device.clone())
    }
}

impl From<Device> for Target {
    fn from(device: Device) -> Self {
        Self::Tensors(device)
    }
}

impl From<&Target> for Target {
    fn from(target: &Target) -> Self {
        target.clone()
    }
}

impl Target {
    /// Where the model's parameters live.
    #[must_use]
    pub fn tensors(&self) -> Device {
        match self {
            Self::Tensors(device) => device.clone(),
            Self::Cuda(_) => Device::Cpu,
        }
    }

    /// Whether the CPU computes.
    #[must_use]
    pub fn is_cpu(&self) -> bool {
        matches!(self, Self::Tensors(device) if device.is_cpu())
    }

    /// Whether a GPU of NVIDIA's computes.
    #[must_use]
    pub fn is_cuda(&self) -> bool {
        match self {
            Self::Tensors(device) => device.is_cuda(),
            Self::Cuda(_) => true,
        }
    }

    /// `cpu`, `cuda:0`, ...
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Cuda(index) => format!("cuda:{index}"),
            Self::Tensors(device) => match device.location() {
                DeviceLocation::Cpu => "cpu".to_owned(),
                DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
                DeviceLocation::Metal { .. } => "metal".to_owned(),
            },
        }
    }
}
