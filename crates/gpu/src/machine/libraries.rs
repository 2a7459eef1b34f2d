//! Finds the CUDA libraries. cudarc opens each when one of its functions is first called, and panics where there is none:
//! so each is opened here first, also from where CUDA is commonly installed, and kept open.

use std::path::PathBuf;

use libloading::Library as File;

use crate::{Error, Result};

/// A library that this crate calls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Library {
    Driver,
    Nvrtc,
    CublasLt,
}

impl Library {
    /// What a person would call it, its file names, and what to do where there is none.
    const fn told(self) -> (&'static str, &'static [&'static str], &'static str) {
        match self {
            Self::Driver => (
                "the NVIDIA driver",
                &["libcuda.so.1", "libcuda.so", "nvcuda.dll"],
                "is there a GPU, and its driver installed?",
            ),
            Self::Nvrtc => (
                "NVRTC, CUDA's run-time compiler,",
                &["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"],
                "install CUDA 13 or the PyPI package nvidia-cuda-nvrtc, and name its folder in LD_LIBRARY_PATH",
            ),
            Self::CublasLt => (
                "cuBLASLt",
                &["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"],
                "install CUDA 13 or the PyPI package nvidia-cublas, and name its folder in LD_LIBRARY_PATH",
            ),
        }
    }

    /// Opens it for good.
    pub(super) fn find(self) -> Result<()> {
        let (what, names, remedy) = self.told();
        let installed =
            ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
        let folders: Vec<PathBuf> = installed
            .chain([PathBuf::from("/usr/local/cuda")])
            .flat_map(|home| [home.join("lib64"), home.join("lib")])
            .collect();
        let anywhere = names.iter().map(PathBuf::from);
        let there = folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
        for path in anywhere.chain(there) {
            // SAFETY: opening NVIDIA's libraries runs their initialisers, which ask nothing of the caller.
            if let Ok(file) = unsafe { File::new(&path) } {
                // A library that is open under its name is what cudarc gets when it asks for that name.
                std::mem::forget(file);
                return Ok(());
            }
        }
        Err(Error::Missing { what, tried: names.join(", "), remedy })
    }
}
