/// Why something can't be done on a GPU.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A library isn't on this machine.
    #[error("{what} is not on this machine: none of {tried} could be opened; {remedy}")]
    Missing {
        /// What it is.
        what: &'static str,
        /// The files that were looked for.
        tried: String,
        /// What would help.
        remedy: &'static str,
    },
    /// The driver can't run what this machine's libraries or this program need.
    #[error("the NVIDIA driver is for CUDA {found}, and {who} needs {needed}: update the driver")]
    OldDriver {
        /// The driver's CUDA version.
        found: String,
        /// The version that is needed.
        needed: String,
        /// Who needs it.
        who: &'static str,
    },
    /// There's no such device.
    #[error("there is no cuda:{asked}: {}", match found { 0 => "the driver sees no GPU".to_owned(), 1 => "the only GPU is cuda:0".to_owned(), n => format!("the {n} GPUs are cuda:0 to cuda:{}", n - 1) })]
    NoDevice {
        /// The device asked for.
        asked: usize,
        /// How many there are.
        found: usize,
    },
    /// The card is older than the kernels.
    #[error("{name} has compute capability {major}.{minor}; the kernels need 8.0 (Ampere) or newer")]
    OldCard {
        /// The card.
        name: String,
        /// Its capability.
        major: i32,
        /// The part after the point.
        minor: i32,
    },
    /// The arena doesn't fit.
    #[error("{asked} MB of GPU memory are needed, and {free} of {total} MB are free on {name}")]
    OutOfMemory {
        /// Megabytes asked for.
        asked: usize,
        /// Megabytes free.
        free: usize,
        /// Megabytes in all.
        total: usize,
        /// The card.
        name: String,
    },
    /// A kernel doesn't compile.
    #[error("the kernels don't compile for {target}:\n{log}")]
    Compile {
        /// The architecture.
        target: String,
        /// What NVRTC says.
        log: String,
    },
    /// cuBLASLt has no algorithm.
    #[error("cuBLASLt knows no way to do the {product}")]
    NoAlgorithm {
        /// The product.
        product: String,
    },
    /// A kernel needs more shared memory than the card gives a block.
    #[error("the kernel {kernel} needs {needed} bytes of shared memory a block; this card has {limit}")]
    SharedMemory {
        /// The kernel.
        kernel: String,
        /// Bytes needed.
        needed: u32,
        /// Bytes there are.
        limit: u32,
    },
    /// An operation is put together wrongly: a bug of the caller.
    #[error("{operation}: {problem}")]
    Operation {
        /// The operation.
        operation: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The driver, NVRTC or cuBLASLt refused.
    #[error("{doing}: {library} says {status}")]
    Refused {
        /// What was tried.
        doing: String,
        /// Who refused.
        library: &'static str,
        /// The library's word for it.
        status: String,
    },
}

impl Error {
    /// The same in few words, for who didn't ask for a GPU.
    #[must_use]
    pub fn in_short(&self) -> String {
        match self {
            Self::Missing { what, .. } => format!("{what} is not on this machine"),
            other => other.to_string(),
        }
    }
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_named_with_those_that_are() {
        let of = |found| Error::NoDevice { asked: 7, found }.to_string();
        assert_eq!(of(0), "there is no cuda:7: the driver sees no GPU");
        assert_eq!(of(1), "there is no cuda:7: the only GPU is cuda:0");
        assert_eq!(of(2), "there is no cuda:7: the 2 GPUs are cuda:0 to cuda:1");
    }
}
