//! Page-locked memory of the host, which the GPU copies from and to by itself: several times as fast as from ordinary memory.

use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use cudarc::driver::result::{free_host, malloc_host};
use cudarc::driver::{CudaContext, DriverError};

use super::refused;
use crate::Result;

/// Bytes that are copied at once: a small model's parameters, or a batch.
const BYTES: usize = 4 << 20;

/// A piece of page-locked memory.
pub(super) struct Staging {
    memory: NonNull<u8>,
    /// What the memory was taken in.
    context: Arc<CudaContext>,
}

// SAFETY: the memory belongs to no thread, and it can be reached through `&mut` alone.
unsafe impl Send for Staging {}

impl Staging {
    /// Takes the memory.
    ///
    /// # Errors
    /// If the driver refuses.
    pub(super) fn new(context: &Arc<CudaContext>) -> Result<Self> {
        let told = |error: DriverError| refused("taking page-locked memory", "the driver", &error.0);
        context.bind_to_thread().map_err(told)?;
        // SAFETY: a new piece of memory, freed by `drop` alone. No flags: it is read as often as written.
        let memory = unsafe { malloc_host(BYTES, 0) }.map_err(told)?.cast::<u8>();
        let none = DriverError(cudarc::driver::sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        let memory = NonNull::new(memory).ok_or(none).map_err(told)?;
        // SAFETY: there are so many bytes, and nobody else knows them.
        unsafe { memory.write_bytes(0, BYTES) };
        Ok(Self { memory, context: Arc::clone(context) })
    }

    /// All of it.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: `new` took and wrote so many bytes; they live as long as `self`, which is borrowed for as long as they are.
        unsafe { slice::from_raw_parts_mut(self.memory.as_ptr(), BYTES) }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: taken by `new`, freed once. A failure has nobody to go to.
            let _ = unsafe { free_host(self.memory.as_ptr().cast()) };
        }
    }
}
