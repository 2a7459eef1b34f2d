//! What a CUDA device is set to before candle computes there. These are calls of the driver's own interface, so they
//! are unsafe, and this crate is where the workspace keeps that.

use cudarc::driver::{CudaContext, DriverError, result, sys};

/// Prepares a context that serves one stream: freed memory stays at hand for the next tensor, and no events are made.
///
/// By default the driver gives freed memory back to the system whenever the host waits for the device, and takes it anew
/// in the next step. And `cudarc` makes two events for every tensor, which order its use on several streams: with one
/// stream they are never waited for.
///
/// # Errors
/// If the driver refuses.
pub fn prepare_for_one_stream(context: &CudaContext) -> Result<(), DriverError> {
    let mut keep_all = u64::MAX;
    // SAFETY: the device is that of a living context, so its default pool is valid; the attribute is a u64, which the
    // driver only reads.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device())?;
        let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        result::mem_pool::set_attribute(pool, threshold, (&raw mut keep_all).cast())?;
    }
    // SAFETY: work on one stream is done in the order in which it's asked for, so no tensor is used before it's written
    // or freed before it's read.
    unsafe { context.disable_event_tracking() };
    Ok(())
}
