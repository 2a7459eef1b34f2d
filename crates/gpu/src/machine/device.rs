//! One GPU: its context, the stream that all work goes to, and what its card can do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::result::device;
use cudarc::driver::sys::CUdevice_attribute::{
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
};
use cudarc::driver::{CudaContext, CudaModule, CudaStream, DriverError, sys};
use cudarc::nvrtc::Ptx;

use super::compile;
use super::libraries::Library;
use super::plans::Cublas;
use super::refused;
use super::staging::Staging;
use crate::source::Code;
use crate::{Error, Result};

/// The oldest driver whose functions this program calls: CUDA 12.8, NVIDIA 570.
const OLDEST_DRIVER: i32 = 12_080;

/// A GPU that is ready for work. Copies are handles to the same one.
#[derive(Clone)]
pub struct Device {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) context: Arc<CudaContext>,
    pub(super) stream: Arc<CudaStream>,
    pub(super) cublas: Cublas,
    /// What is copied to the card or from it goes through here.
    pub(super) staging: Mutex<Staging>,
    name: String,
    capability: (i32, i32),
    driver: i32,
    modules: Mutex<HashMap<Code, Arc<CudaModule>>>,
    /// Bytes of shared memory that one block may have.
    pub(super) shared_limit: u32,
}

/// CUDA's version numbers, as in 13000.
fn version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

impl Device {
    /// The name of the card `cuda:ordinal`, if it can be used. Nothing is begun on it, and none of its memory is taken.
    ///
    /// # Errors
    /// If a library is missing, the driver is too old, there is no such device, or its card is too old.
    pub fn find(ordinal: usize) -> Result<String> {
        for library in [Library::Driver, Library::Nvrtc, Library::CublasLt] {
            library.find()?;
        }
        let driver = driver_version()?;
        if driver < OLDEST_DRIVER {
            let (found, needed) = (version(driver), version(OLDEST_DRIVER));
            return Err(Error::OldDriver { found, needed, who: "this program" });
        }
        let compiler = compile::version()?;
        if driver / 1000 < compiler.0 {
            let needed = format!("{}.{}", compiler.0, compiler.1);
            return Err(Error::OldDriver { found: version(driver), needed, who: "this machine's NVRTC" });
        }
        let no_gpu = |error: &DriverError| error.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE;
        let found = match CudaContext::device_count() {
            Ok(found) => usize::try_from(found).unwrap_or(0),
            Err(error) if no_gpu(&error) => 0,
            Err(error) => return Err(refused("counting the GPUs", "the driver", &error.0)),
        };
        if ordinal >= found {
            return Err(Error::NoDevice { asked: ordinal, found });
        }
        let told = |error: DriverError| refused(format!("looking at cuda:{ordinal}"), "the driver", &error.0);
        // There are fewer than the driver's integer holds, since it counted them.
        let card = device::get(ordinal as i32).map_err(told)?;
        let name = device::get_name(card).map_err(told)?;
        // SAFETY: the driver has just given this card.
        let capability = |which| unsafe { device::get_attribute(card, which) }.map_err(told);
        let (major, minor) = (
            capability(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            capability(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        if major < 8 {
            return Err(Error::OldCard { name, major, minor });
        }
        Ok(name)
    }

    /// Opens `cuda:ordinal`.
    ///
    /// # Errors
    /// As [`Device::find`], or if the driver or cuBLASLt can't begin on it.
    pub fn open(ordinal: usize) -> Result<Self> {
        let (name, driver) = (Self::find(ordinal)?, driver_version()?);
        let doing = || format!("opening cuda:{ordinal}");
        let told = |error: DriverError| refused(doing(), "the driver", &error.0);
        let context = CudaContext::new(ordinal).map_err(told)?;
        // SAFETY: events would order work of several streams; here there is one.
        unsafe { context.disable_event_tracking() };
        let capability = context.compute_capability().map_err(told)?;
        let limit = context.attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN).map_err(told)?;
        let stream = context.new_stream().map_err(told)?;
        let (cublas, staging) = (Cublas::new(&stream)?, Mutex::new(Staging::new(&context)?));
        let shared_limit = u32::try_from(limit).unwrap_or(0);
        let modules = Mutex::default();
        let inner =
            Inner { context, stream, cublas, staging, name, capability, driver, modules, shared_limit };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The card's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The versions that results may depend on, for a run's record.
    #[must_use]
    pub fn versions(&self) -> String {
        let (major, minor) = self.inner.capability;
        let nvrtc =
            compile::version().map_or_else(|_| "?".to_owned(), |(major, minor)| format!("{major}.{minor}"));
        let (driver, cublas) = (version(self.inner.driver), self.inner.cublas.version());
        format!(
            "{}, compute capability {major}.{minor}, driver for CUDA {driver}, NVRTC {nvrtc}, cuBLASLt {cublas}",
            self.inner.name
        )
    }

    /// Megabytes of its memory: free, and in all.
    ///
    /// # Errors
    /// If the driver refuses.
    pub fn memory(&self) -> Result<(usize, usize)> {
        let (free, total) = self
            .inner
            .context
            .mem_get_info()
            .map_err(|error| refused("reading the free memory", "the driver", &error.0))?;
        Ok((free >> 20, total >> 20))
    }

    /// Memory that the card copies from and to; one copy at a time.
    pub(super) fn staging(&self) -> MutexGuard<'_, Staging> {
        // What a panicking thread leaves behind is overwritten before it is copied.
        self.inner.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the context that of this thread: the driver's calls act on it.
    pub(super) fn bind(&self) -> Result<()> {
        let bound = self.inner.context.bind_to_thread();
        bound.map_err(|error| refused("binding the GPU to a thread", "the driver", &error.0))
    }

    /// Waits until all work asked for is done.
    ///
    /// # Errors
    /// If some of it failed.
    pub fn wait(&self) -> Result<()> {
        let done = self.inner.stream.synchronize();
        done.map_err(|error| refused("waiting for the GPU", "the driver", &error.0))
    }

    /// Compiles kernels for this card, or takes them from the cache, and loads them once.
    pub(super) fn load(&self, source: &Code) -> Result<Arc<CudaModule>> {
        let mut modules = self.inner.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(source) {
            return Ok(Arc::clone(module));
        }
        let (major, minor) = self.inner.capability;
        let binary = compile::for_target(source, &format!("sm_{major}{minor}"))?;
        let loaded = self.inner.context.load_module(Ptx::from_binary(binary));
        let module = loaded.map_err(|error| refused("loading the kernels", "the driver", &error.0))?;
        modules.insert(source.clone(), Arc::clone(&module));
        Ok(module)
    }
}

fn driver_version() -> Result<i32> {
    let mut found = 0;
    // SAFETY: the driver's library is open, and writes one integer through the pointer.
    let status = unsafe { sys::cuDriverGetVersion(&raw mut found) };
    match status {
        sys::CUresult::CUDA_SUCCESS => Ok(found),
        status => Err(refused("asking for the driver's version", "the driver", &status)),
    }
}
