//! The one piece of memory that a program works in.

use std::slice;
use std::sync::Arc;

use cudarc::driver::{CudaSlice, DevicePtr, DriverError, sys};

use super::device::Device;
use super::refused;
use crate::{Element, Error, Result, Span};

/// Memory of a GPU, from a [`crate::Layout`]. Copies are handles to the same memory.
#[derive(Clone)]
pub struct Arena {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) device: Device,
    memory: CudaSlice<u8>,
}

impl Arena {
    /// So many bytes, all set to 0xff: floats that were never written are NaN.
    ///
    /// # Errors
    /// If the card hasn't so many free.
    pub fn new(device: &Device, bytes: usize) -> Result<Self> {
        let stream = &device.inner.stream;
        let told = |error: DriverError| match (error.0, device.memory()) {
            (sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY, Ok((free, total))) => {
                Error::OutOfMemory { asked: bytes >> 20, free, total, name: device.name().to_owned() }
            }
            (status, _) => refused("allocating the arena", "the driver", &status),
        };
        // SAFETY: every byte is written just below, before anyone can read it.
        let memory = unsafe { stream.alloc::<u8>(bytes.max(1)) }.map_err(told)?;
        let arena = Self { inner: Arc::new(Inner { device: device.clone(), memory }) };
        arena.fill(Span { offset: 0, len: bytes, element: Element::Byte }, 0xff)?;
        device.wait()?;
        Ok(arena)
    }

    /// The address of a place, which is inside.
    pub(super) fn address(&self, span: Span) -> Result<sys::CUdeviceptr> {
        if span.end() > self.inner.memory.len() {
            return Err(Error::Operation {
                operation: "arena".to_owned(),
                problem: format!("a place ends at byte {} of {}", span.end(), self.inner.memory.len()),
            });
        }
        let (start, _guard) = self.inner.memory.device_ptr(&self.inner.device.inner.stream);
        Ok(start + span.offset as u64)
    }

    /// Sets every byte of a place, in the stream's order.
    pub(super) fn fill(&self, span: Span, byte: u8) -> Result<()> {
        let (address, stream) = (self.address(span)?, self.inner.device.inner.stream.cu_stream());
        if span.bytes() == 0 {
            return Ok(());
        }
        self.inner.device.bind()?;
        // SAFETY: the place is inside this arena's memory, which lives; the stream is the device's.
        let done = unsafe { cudarc::driver::result::memset_d8_async(address, byte, span.bytes(), stream) };
        done.map_err(|error| refused("clearing memory", "the driver", &error.0))
    }

    fn write<T: Number>(&self, span: Span, values: &[T]) -> Result<()> {
        self.fits(span, values.len(), size_of::<T>())?;
        let (mut address, device) = (self.address(span)?, &self.inner.device);
        device.bind()?;
        let mut staging = device.staging();
        for bytes in bytes_of(values).chunks(staging.bytes().len()) {
            let staged = &mut staging.bytes()[..bytes.len()];
            staged.copy_from_slice(bytes);
            // SAFETY: the place, inside this arena's memory, has as many bytes as the values, of which these are the next; both pieces
            // of memory live until the copy is done: it is waited for.
            let copied = unsafe {
                cudarc::driver::result::memcpy_htod_async(address, staged, device.inner.stream.cu_stream())
            };
            copied.map_err(|error| refused("copying to the GPU", "the driver", &error.0))?;
            device.wait()?;
            address += bytes.len() as u64;
        }
        Ok(())
    }

    fn read<T: Number>(&self, span: Span, zero: T) -> Result<Vec<T>> {
        let mut values = vec![zero; span.len()];
        self.read_to(span, &mut values)?;
        Ok(values)
    }

    fn read_to<T: Number>(&self, span: Span, values: &mut [T]) -> Result<()> {
        self.fits(span, values.len(), size_of::<T>())?;
        let (mut address, device) = (self.address(span)?, &self.inner.device);
        device.bind()?;
        let mut staging = device.staging();
        for bytes in bytes_of_mut(values).chunks_mut(staging.bytes().len()) {
            let staged = &mut staging.bytes()[..bytes.len()];
            // SAFETY: as in `write`.
            let copied = unsafe {
                cudarc::driver::result::memcpy_dtoh_async(staged, address, device.inner.stream.cu_stream())
            };
            copied.map_err(|error| refused("copying from the GPU", "the driver", &error.0))?;
            device.wait()?;
            bytes.copy_from_slice(staged);
            address += bytes.len() as u64;
        }
        Ok(())
    }

    fn fits(&self, span: Span, len: usize, bytes: usize) -> Result<()> {
        if span.len() == len && span.element().bytes() == bytes {
            return Ok(());
        }
        let problem = format!("{len} values of {bytes} bytes for {} {:?}", span.len(), span.element());
        Err(Error::Operation { operation: "copy".to_owned(), problem })
    }

    /// Copies floats to a place of as many, after all work asked for before.
    ///
    /// # Errors
    /// If it isn't such a place, or the driver refuses.
    pub fn write_floats(&self, span: Span, values: &[f32]) -> Result<()> {
        self.write(span, values)
    }

    /// Copies integers to a place of as many floats, after all work asked for before.
    ///
    /// # Errors
    /// If it isn't such a place, or the driver refuses.
    pub fn write_ints(&self, span: Span, values: &[i32]) -> Result<()> {
        self.write(span, values)
    }

    /// Copies doubles to a place of as many, after all work asked for before.
    ///
    /// # Errors
    /// If it isn't such a place, or the driver refuses.
    pub fn write_doubles(&self, span: Span, values: &[f64]) -> Result<()> {
        self.write(span, values)
    }

    /// Copies 64-bit integers to a place of as many doubles, after all work asked for before.
    ///
    /// # Errors
    /// If it isn't such a place, or the driver refuses.
    pub fn write_longs(&self, span: Span, values: &[i64]) -> Result<()> {
        self.write(span, values)
    }

    /// The floats of a place, after all work asked for before.
    ///
    /// # Errors
    /// If it holds others, or the driver refuses.
    pub fn read_floats(&self, span: Span) -> Result<Vec<f32>> {
        self.read(span, 0.0)
    }

    /// Copies the floats of a place to as many, after all work asked for before.
    ///
    /// # Errors
    /// If it holds others, or the driver refuses.
    pub fn read_floats_to(&self, span: Span, values: &mut [f32]) -> Result<()> {
        self.read_to(span, values)
    }

    /// Copies floats to a place of as many, rounded to bf16 if it holds those, after all work asked for before.
    ///
    /// # Errors
    /// If it isn't such a place, or the driver refuses.
    pub fn write_stored(&self, span: Span, values: &[f32]) -> Result<()> {
        match span.element() {
            Element::Bf16 => self.write(span, &values.iter().copied().map(to_bf16).collect::<Vec<u16>>()),
            _ => self.write(span, values),
        }
    }

    /// What a place of floats or bf16 holds, as floats, after all work asked for before.
    ///
    /// # Errors
    /// If it holds others, or the driver refuses.
    pub fn read_stored(&self, span: Span) -> Result<Vec<f32>> {
        match span.element() {
            Element::Bf16 => Ok(self.read(span, 0_u16)?.into_iter().map(from_bf16).collect()),
            _ => self.read(span, 0.0),
        }
    }
}

/// A number of which any bits are a value, and that has no bytes between its own.
///
/// # Safety
/// It is one of the primitive types of numbers.
unsafe trait Number: Copy {}
// SAFETY: a primitive type, as are those below.
unsafe impl Number for f32 {}
// SAFETY: as above.
unsafe impl Number for f64 {}
// SAFETY: as above.
unsafe impl Number for i32 {}
// SAFETY: as above.
unsafe impl Number for i64 {}
// SAFETY: as above.
unsafe impl Number for u16 {}

fn bytes_of<T: Number>(values: &[T]) -> &[u8] {
    // SAFETY: numbers are bytes without gaps, and bytes have no alignment.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

fn bytes_of_mut<T: Number>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as in `bytes_of`; whatever is written to them is a value.
    unsafe { slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// The nearest bf16, the even one of two: as the kernels round.
fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    if x.is_nan() { 0x7fff } else { (rounded >> 16) as u16 }
}

fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_rounded_to_the_nearest_bf16_and_ties_to_the_even_one() {
        for (x, bits) in [(1.0, 0x3f80), (-2.5, 0xc020), (f32::INFINITY, 0x7f80), (f32::NAN, 0x7fff)] {
            assert_eq!(to_bf16(x), bits, "{x}");
        }
        let step = 2.0_f32.powi(-7);
        assert_eq!(from_bf16(to_bf16(1.0 + 0.6 * step)), 1.0 + step);
        assert_eq!(from_bf16(to_bf16(1.0 + 0.5 * step)), 1.0);
        assert_eq!(from_bf16(to_bf16(1.0 + 1.5 * step)), 1.0 + 2.0 * step);
    }
}
