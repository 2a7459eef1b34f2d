//! Compiles the kernels to machine code, once for each card, width and storage: the result is kept in a cache.

use std::ffi::CString;
use std::path::PathBuf;

use cudarc::nvrtc::{result, sys};
use sha2::{Digest, Sha256};

use super::refused;
use crate::source::Code;
use crate::{Error, Result};

/// NVRTC's version.
pub(super) fn version() -> Result<(i32, i32)> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: NVRTC's library is open (`Device::open`), and writes an integer through each pointer.
    let status = unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) };
    status.result().map_err(|error| refused("asking for NVRTC's version", "NVRTC", &error.0))?;
    Ok((major, minor))
}

/// The machine code for an architecture: kept from before, or compiled and then kept, if that can be.
pub(super) fn for_target(source: &Code, target: &str) -> Result<Vec<u8>> {
    let (text, options) = (source.text(), source.options(target));
    let file = cache_folder().map(|folder| {
        let key = format!("{:?}\n{options:?}\n{text}", version().unwrap_or_default());
        let digest = Sha256::digest(key.as_bytes());
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        folder.join(format!("{name}.cubin"))
    });
    if let Some(kept) = file.as_ref().and_then(|file| std::fs::read(file).ok()).and_then(whole) {
        return Ok(kept);
    }
    let binary = compile(&text, &options, target)?;
    if let Some(file) = file {
        // Where nothing can be kept, as in a folder that may only be read, each program compiles anew.
        let _ = keep(&file, &binary);
    }
    Ok(binary)
}

/// What was kept, if it is what was written: behind the machine code stands its checksum. The driver is told no length, and would read
/// past the end of half a file.
fn whole(mut kept: Vec<u8>) -> Option<Vec<u8>> {
    let len = kept.len().checked_sub(CHECKSUM)?;
    (Sha256::digest(&kept[..len])[..] == kept[len..]).then(|| {
        kept.truncate(len);
        kept
    })
}

/// Bytes of a checksum.
const CHECKSUM: usize = 32;

/// `LOOPED_KERNELS`, or `looped/kernels` below the user's cache folder.
fn cache_folder() -> Option<PathBuf> {
    let own = std::env::var_os("LOOPED_KERNELS").map(PathBuf::from);
    let shared = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    own.or_else(|| shared().or_else(home).map(|folder| folder.join("looped").join("kernels")))
}

/// Writes under another name first: a reader never sees half a file.
fn keep(file: &std::path::Path, binary: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Of this process and thread alone: several may compile the same kernels at once.
    let (process, thread) = (std::process::id(), std::thread::current().id());
    let unfinished = file.with_extension(format!("{process}-{thread:?}"));
    let done = std::fs::write(&unfinished, [binary, &Sha256::digest(binary)].concat())
        .and_then(|()| std::fs::rename(&unfinished, file));
    if done.is_err() {
        let _ = std::fs::remove_file(unfinished);
    }
    done
}

/// A program of NVRTC's, destroyed with this.
struct Program(sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by `create_program`, destroyed once. A failure has nobody to go to.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

fn compile(text: &str, options: &[String], target: &str) -> Result<Vec<u8>> {
    let failed = |error: result::NvrtcError| refused("compiling the kernels", "NVRTC", &error.0);
    let text = CString::new(text).map_err(|_| Error::Operation {
        operation: "compile".to_owned(),
        problem: "the source holds a zero byte".to_owned(),
    })?;
    let program = Program(result::create_program(&text, Some(c"kernels.cu")).map_err(failed)?);
    // SAFETY: the program is alive.
    let compiled = unsafe { result::compile_program(program.0, options) };
    if compiled.is_err() {
        // SAFETY: the program is alive.
        let log = unsafe { result::get_program_log(program.0) }.map_err(failed)?;
        let log: Vec<u8> = log.into_iter().map(|c| c as u8).take_while(|c| *c != 0).collect();
        let log = String::from_utf8_lossy(&log).into_owned();
        return Err(Error::Compile { target: target.to_owned(), log });
    }
    let mut len = 0;
    // SAFETY: the program is alive and compiled; NVRTC writes one size.
    unsafe { sys::nvrtcGetCUBINSize(program.0, &raw mut len) }.result().map_err(failed)?;
    let mut binary = vec![0_u8; len];
    // SAFETY: NVRTC writes as many bytes as it said.
    unsafe { sys::nvrtcGetCUBIN(program.0, binary.as_mut_ptr().cast()) }.result().map_err(failed)?;
    Ok(binary)
}
