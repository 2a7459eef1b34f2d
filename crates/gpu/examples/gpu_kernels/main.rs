//! Kernels that are no part of `gpu_step`'s step, against f64 on the host: RMS norm, Adam with clipping and weight decay, the
//! scan of a state space, products with few rows. Inputs are drawn anew for each SEED; whatever a kernel should write is NaN before it runs.
//!
//! ```text
//! gpu_kernels [SEED [WIDTH ...]]        widths of rows: 20 64 96 256 384 unless told otherwise
//! ```

mod checks;
mod reference;

use std::process::ExitCode;

use checks::{Bench, Shapes};
use looped_gpu::{Device, Source, Storage};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match check() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<bool> {
    let numbers = std::env::args().skip(1).map(|word| Ok(word.parse()?)).collect::<Result<Vec<usize>>>()?;
    let (seed, widths) = numbers.split_first().map_or((1, &[][..]), |(seed, widths)| (*seed, widths));
    let widths = if widths.is_empty() { &[20, 64, 96, 256, 384] } else { widths };
    let device = Device::open(0)?;
    println!("{}", device.versions());
    let (mut done, mut failed) = (0, 0);
    for width in widths {
        for storage in [Storage::F32, Storage::Bf16] {
            let bench = Bench::new(&device, Source { width: *width, head: 16, storage }, seed as u64);
            for found in bench.all(Shapes::LARGE)? {
                println!("{found}");
                done += 1;
                failed += usize::from(!found.good());
            }
        }
    }
    println!("seed {seed}: {done} comparisons, {failed} failed");
    Ok(failed == 0 && done > 0)
}
