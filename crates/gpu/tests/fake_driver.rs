//! The fake GPU itself: it compiles what it is given, refuses what a real one refuses, and does late what a real one may.

mod fake;

use std::ffi::CString;
use std::sync::Arc;

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DevicePtr, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::{Ptx, result};

const COMMON: &str = include_str!("../kernels/common.cu");

/// Three kernels: by this project's macro, as CUDA writes them, and one that another macro makes.
const KERNELS: &str = r#"
constexpr int THREADS = 2 * 32;
KERNEL(THREADS + 64) halve(const float* x, float* y, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) y[i] = 0.5f * x[i];
}
extern "C" __global__ void __launch_bounds__(256, 2)
sum(const float* __restrict__ x, float* y, int count) {
  SHARED(float, part, 8);
  float total = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) total += x[i];
  total = warp_sum(total);
  if (lane_id() == 0) part[warp_id()] = total;
  __syncthreads();
  total = 0;
  for (int w = 0; w < int(blockDim.x / 32); w++) total += part[w];
  if (threadIdx.x == 0) *y = total;
}
#define MAKES(name, expression)                                            \
  KERNEL(32) name(const float* a, float* y, int count) {                   \
    for (int i = threadIdx.x; i < count; i += 32) y[i] = (expression);     \
  }
MAKES(shifted, max(a[i] + BY, 0.0f))
#ifdef NEVER
KERNEL(32) never(float* x) { *x = 0; }
#endif
"#;

/// Compiles a source for the fake card, or tells the compiler's words.
fn compile(text: &str, options: &[&str]) -> Result<Ptx, String> {
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with("#include")).collect();
    let text = CString::new(text.join("\n")).expect("no zeros");
    let program = result::create_program(&text, Some(c"generated.cu")).expect("a program");
    let options: Vec<&str> = ["--gpu-architecture=sm_90"].iter().chain(options).copied().collect();
    // SAFETY: the program lives until this function ends.
    let compiled = unsafe { result::compile_program(program, &options) };
    if let Err(error) = compiled {
        // SAFETY: as above.
        let log = unsafe { result::get_program_log(program) }.expect("a log");
        let log: Vec<u8> = log.into_iter().map(|c| c as u8).collect();
        return Err(format!("{error:?} {}", String::from_utf8_lossy(&log)));
    }
    // SAFETY: as above.
    let binary = unsafe { result::get_ptx(program) }.expect("a binary");
    Ok(Ptx::from_binary(binary.into_iter().map(|c| c as u8).collect()))
}

/// Runs a kernel that takes what it reads, what it writes and a count.
fn launch(
    stream: &Arc<CudaStream>,
    kernel: &CudaFunction,
    threads: u32,
    x: &cudarc::driver::CudaSlice<f32>,
    y: &mut cudarc::driver::CudaSlice<f32>,
) -> Result<(), CUresult> {
    let count = x.len() as i32;
    let blocks = if threads == 128 { (x.len() as u32).div_ceil(threads) } else { 1 };
    let config = LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: the kernels here take these, and touch no more than `count` values.
    unsafe { stream.launch_builder(kernel).arg(x).arg(y).arg(&count).launch(config) }
        .map(drop)
        .map_err(|error| error.0)
}

#[test]
fn any_source_is_compiled_and_what_a_real_compiler_refuses_is_refused() {
    fake::passes("inner_any_source", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_any_source() {
    let text = [COMMON, KERNELS].concat();
    let context = CudaContext::new(0).expect("a context");
    let stream = context.new_stream().expect("a stream");
    let values: Vec<f32> = (0_i16..300).map(f32::from).collect();
    let x = stream.clone_htod(&values).expect("a copy");
    // Two modules at once, with the same names in them.
    for by in [1.0_f32, 2.0] {
        let binary = compile(&text, &[&format!("-DBY=(-{by:?}f)"), "-default-device"]).expect("it compiles");
        let module = context.load_module(binary).expect("a module");
        let kernel = |name: &str| module.load_function(name).expect("a kernel");
        assert!(module.load_function("never").is_err());
        let mut y = stream.alloc_zeros::<f32>(300).expect("memory");
        launch(&stream, &kernel("halve"), 128, &x, &mut y).expect("a launch");
        assert_eq!(stream.clone_dtoh(&y).expect("a copy")[299], 149.5);
        launch(&stream, &kernel("sum"), 256, &x, &mut y).expect("a launch");
        assert_eq!(stream.clone_dtoh(&y).expect("a copy")[0], 299.0 * 150.0);
        launch(&stream, &kernel("shifted"), 32, &x, &mut y).expect("a launch");
        let shifted: Vec<f32> = values.iter().map(|value| (value - by).max(0.0)).collect();
        assert_eq!(stream.clone_dtoh(&y).expect("a copy"), shifted);
        // Exactly the macro's threads, and at most those of CUDA's own word.
        let refused = Err(CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
        assert_eq!(launch(&stream, &kernel("halve"), 96, &x, &mut y), refused);
        assert_eq!(launch(&stream, &kernel("sum"), 64, &x, &mut y), Ok(()));
        assert_eq!(launch(&stream, &kernel("sum"), 288, &x, &mut y), refused);
    }
    let told = compile("KERNEL(32) wrong(float* x) {\n  *x = y;\n}\n", &[]).expect_err("y isn't there");
    assert!(told.contains("generated.cu:2") && told.contains("NVRTC_ERROR_COMPILATION"), "{told}");
    let told = compile(&text, &["-DBY=1", "-O3"]).expect_err("an option of another compiler");
    assert!(told.contains("NVRTC_ERROR_INVALID_OPTION") && told.contains("-O3"), "{told}");
    assert!(context.load_module(Ptx::from_binary(vec![0; 64])).is_err());
}

#[test]
fn memory_that_was_given_back_is_spoilt() {
    fake::passes("inner_given_back", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_given_back() {
    let context = CudaContext::new(0).expect("a context");
    let stream = context.new_stream().expect("a stream");
    let there = stream.clone_htod(&[1.0_f32; 300]).expect("a copy");
    let address = there.device_ptr(&stream).0;
    let mut found = [0.0_f32; 300];
    let mut read = || {
        // SAFETY: none for a real GPU. The fake one keeps what was given back for a while, so that this can be told.
        unsafe { cudarc::driver::result::memcpy_dtoh_async(&mut found, address, stream.cu_stream()) }
            .expect("a copy");
        stream.synchronize().expect("done");
        found
    };
    assert_eq!(read(), [1.0; 300]);
    drop(there);
    assert!(read().iter().all(|value| value.is_nan()));
}

#[test]
fn copies_and_streams_are_late_until_somebody_waits() {
    fake::passes("inner_late", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_late() {
    let context = CudaContext::new(0).expect("a context");
    // SAFETY: the streams here are ordered by hand.
    unsafe { context.disable_event_tracking() };
    let (copies, work) = (context.new_stream().expect("a stream"), context.new_stream().expect("a stream"));
    // SAFETY: it is written before it is read.
    let mut host = unsafe { context.alloc_pinned::<f32>(4) }.expect("pinned memory");
    let mut there = copies.alloc_zeros::<f32>(4).expect("memory");
    host.as_mut_slice().expect("values").fill(1.0);
    copies.memcpy_htod(&host, &mut there).expect("a copy");
    // Pinned memory is read when the stream comes to it: this is too early a change.
    host.as_mut_slice().expect("values").fill(2.0);
    copies.synchronize().expect("done");
    assert_eq!(copies.clone_dtoh(&there).expect("a copy"), [2.0; 4]);
    // So is what comes back: it is there when somebody has waited.
    host.as_mut_slice().expect("values").fill(0.0);
    copies.memcpy_dtoh(&there, &mut host).expect("a copy");
    // SAFETY: nobody writes there before the stream is waited for, just below.
    let early = unsafe { *host.as_ptr().expect("values") };
    copies.synchronize().expect("done");
    assert_eq!((early, host.as_slice().expect("values")), (0.0, &[2.0_f32; 4][..]));
    // Memory that isn't pinned is read at once.
    let mut values = vec![3.0_f32; 4];
    copies.memcpy_htod(&values, &mut there).expect("a copy");
    values.fill(4.0);
    // The other stream doesn't wait for that copy, unless it is told to.
    assert_eq!(work.clone_dtoh(&there).expect("a copy"), [2.0; 4]);
    work.join(&copies).expect("an event");
    assert_eq!(work.clone_dtoh(&there).expect("a copy"), [3.0; 4]);
    // An event is waited for, and what was asked for after it isn't.
    copies.memcpy_htod(&[5.0_f32; 4], &mut there).expect("a copy");
    let event = copies.record_event(None).expect("an event");
    copies.memcpy_htod(&[6.0_f32; 4], &mut there).expect("a copy");
    event.synchronize().expect("done");
    assert_eq!(work.clone_dtoh(&there).expect("a copy"), [5.0; 4]);
    copies.synchronize().expect("done");
    assert_eq!(work.clone_dtoh(&there).expect("a copy"), [6.0; 4]);
}
