//! A list of operations on an arena, ready to be run, timed, and captured in a graph.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::sys::{self, CUdeviceptr, CUfunction_attribute_enum, CUstreamCaptureMode};
use cudarc::driver::{CudaFunction, CudaGraph, DriverError};

use super::arena::Arena;
use super::plans::{Addresses, Plan};
use super::refused;
use crate::calls::{Argument, Launch};
use crate::source::{Code, Signature};
use crate::{Error, Operation, Product, Result, Span};

/// Operations whose places, arguments and products were checked against one arena and one set of compiled kernels.
/// Copies are handles to the same program.
#[derive(Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

struct Inner {
    arena: Arena,
    operations: Vec<(String, Ready)>,
}

/// An operation with addresses in place of spans.
enum Ready {
    Launch { function: CudaFunction, grid: [u32; 2], threads: u32, shared: u32, arguments: Vec<Value> },
    Product(Plan),
    Clear(Span),
}

/// An argument as a kernel takes it.
#[derive(Clone, Copy)]
enum Value {
    Address(CUdeviceptr),
    Int(i32),
    Float(f32),
}

impl Value {
    const fn pointer(&self) -> *mut c_void {
        match self {
            Self::Address(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Int(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Float(value) => std::ptr::from_ref(value).cast_mut().cast(),
        }
    }
}

/// How a program is made ready.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Times the ways to do each product, and takes the fastest, in place of cuBLASLt's own choice. This overwrites the
    /// products' results, and makes the choice, and so the last bits, a matter of the moment.
    pub tune: bool,
}

impl Program {
    /// Compiles the kernels, plans the products and checks every operation.
    ///
    /// # Errors
    /// If an operation doesn't fit the arena or its kernel, the kernels don't compile, the card has too little shared
    /// memory, or cuBLASLt knows no way to do a product.
    pub fn new(arena: &Arena, operations: &[Operation], options: Options) -> Result<Self> {
        let mut tuned = HashMap::new();
        let mut functions: HashMap<(&Code, &str), (CudaFunction, u32)> = HashMap::new();
        let mut ready = Vec::with_capacity(operations.len());
        for operation in operations {
            let prepared = match operation {
                Operation::Launch(launch) => {
                    let (function, allowed) = match functions.entry((&launch.code, launch.kernel())) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => {
                            let found = arena.inner.device.load(&launch.code)?.load_function(launch.kernel());
                            let doing = || format!("finding the kernel {}", launch.kernel);
                            let function = found.map_err(|error| refused(doing(), "the driver", &error.0))?;
                            new.insert((function, 48 << 10))
                        }
                    };
                    allow_shared(arena, function, allowed, launch)?;
                    prepare(arena, function, launch)?
                }
                Operation::Product(product) => {
                    let mut plan = plan(arena, product)?;
                    if options.tune {
                        tune(arena, operation.name(), &mut plan, &mut tuned)?;
                    }
                    Ready::Product(plan)
                }
                Operation::Clear(span) => {
                    arena.address(*span)?;
                    Ready::Clear(*span)
                }
            };
            ready.push((operation.name(), prepared));
        }
        Ok(Self { inner: Arc::new(Inner { arena: arena.clone(), operations: ready }) })
    }

    /// The number of its operations.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "an empty program is as good as any")]
    pub fn len(&self) -> usize {
        self.inner.operations.len()
    }

    /// The name of each operation, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inner.operations.iter().map(|(name, _)| name.as_str())
    }

    /// Enqueues all operations.
    ///
    /// # Errors
    /// If the driver or cuBLASLt refuses one.
    pub fn run(&self) -> Result<()> {
        (0..self.len()).try_for_each(|index| self.enqueue(index))
    }

    /// Enqueues some of the operations.
    ///
    /// # Errors
    /// As [`Program::run`].
    ///
    /// # Panics
    /// If there are no such operations.
    pub fn run_part(&self, mut indices: std::ops::Range<usize>) -> Result<()> {
        indices.try_for_each(|index| self.enqueue(index))
    }

    /// Runs all operations one by one and waits for each, so that a failure is told with its operation.
    ///
    /// # Errors
    /// If one fails.
    pub fn run_slowly(&self) -> Result<()> {
        for (index, (name, _)) in self.inner.operations.iter().enumerate() {
            let done = self.enqueue(index).and_then(|()| self.inner.arena.inner.device.wait());
            done.map_err(|error| Error::Operation {
                operation: format!("operation {index}, {name}"),
                problem: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// Captures operations, in the order of the given indices, in a graph.
    ///
    /// # Errors
    /// If the driver or cuBLASLt refuses one.
    pub fn capture(&self, indices: impl IntoIterator<Item = usize>) -> Result<Graph> {
        let stream = &self.inner.arena.inner.device.inner.stream;
        let told = |error: DriverError| refused("capturing a graph", "the driver", &error.0);
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).map_err(told)?;
        let enqueued = indices.into_iter().try_for_each(|index| self.enqueue(index));
        let captured = stream.end_capture(sys::CUgraphInstantiate_flags(0)).map_err(told);
        enqueued?;
        let graph = captured?.ok_or_else(|| Error::Operation {
            operation: "capture".to_owned(),
            problem: "there was nothing to capture".to_owned(),
        })?;
        Ok(Graph { graph, program: self.clone() })
    }

    fn enqueue(&self, index: usize) -> Result<()> {
        let device = &self.inner.arena.inner.device.inner;
        let (name, operation) = &self.inner.operations[index];
        self.inner.arena.inner.device.bind()?;
        match operation {
            Ready::Clear(span) => self.inner.arena.fill(*span, 0),
            Ready::Product(plan) => device.cublas.run(plan),
            Ready::Launch { function, grid, threads, shared, arguments } => {
                let told = |error: DriverError| refused(format!("launching {name}"), "the driver", &error.0);
                let mut pointers: Vec<*mut c_void> = arguments.iter().map(Value::pointer).collect();
                // SAFETY: the function's module and the arena live in this program; the arguments are what the kernel
                // declares (`Launch::problem`), and are read before the call returns; their places are in the arena
                // and hold what the kernel touches (`calls`).
                let launched = unsafe {
                    cudarc::driver::result::launch_kernel(
                        function.cu_function(),
                        (grid[0], grid[1], 1),
                        (*threads, 1, 1),
                        *shared,
                        device.stream.cu_stream(),
                        &mut pointers,
                    )
                };
                launched.map_err(told)
            }
        }
    }
}

/// Times the ways to do a product, or takes what was found for one of the same name.
fn tune(arena: &Arena, name: String, plan: &mut Plan, found: &mut HashMap<String, usize>) -> Result<()> {
    if let Some(taken) = found.get(&name) {
        return plan.take(*taken);
    }
    let device = &arena.inner.device.inner;
    plan.tune(|plan| {
        let told = |error: DriverError| refused("timing a product", "the driver", &error.0);
        let record = || device.stream.record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)).map_err(told);
        let mut best = f32::INFINITY;
        for _ in 0..5 {
            let start = record()?;
            for _ in 0..10 {
                device.cublas.run(plan)?;
            }
            best = best.min(start.elapsed_ms(&record()?).map_err(told)?);
        }
        Ok(best)
    })?;
    found.insert(name, plan.taken());
    Ok(())
}

/// Lets a kernel have more than 48 KB of shared memory, where it needs that and the card has it.
fn allow_shared(arena: &Arena, function: &CudaFunction, allowed: &mut u32, launch: &Launch) -> Result<()> {
    let limit = arena.inner.device.inner.shared_limit;
    if launch.shared > limit {
        return Err(Error::SharedMemory { kernel: launch.kernel().to_owned(), needed: launch.shared, limit });
    }
    if launch.shared > *allowed {
        let attribute = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        function.set_attribute(attribute, launch.shared as i32).map_err(|error| {
            refused(format!("raising {}'s shared memory", launch.kernel), "the driver", &error.0)
        })?;
        *allowed = launch.shared;
    }
    Ok(())
}

fn prepare(arena: &Arena, function: &CudaFunction, launch: &Launch) -> Result<Ready> {
    let wrong = |problem: String| Error::Operation { operation: launch.kernel().to_owned(), problem };
    if let Some(problem) = launch.problem() {
        return Err(wrong(problem));
    }
    let Some(Signature { threads, .. }) = launch.code.signature(launch.kernel()) else {
        return Err(wrong("there is no such kernel".to_owned()));
    };
    let address = |span: Option<Span>| span.map_or(Ok(0), |span| arena.address(span));
    let values = launch.arguments.iter().map(|argument| {
        Ok(match argument {
            Argument::Read(span) | Argument::Write(span) => Value::Address(address(*span)?),
            Argument::Int(value) => Value::Int(*value),
            Argument::Float(value) => Value::Float(*value),
        })
    });
    Ok(Ready::Launch {
        function: function.clone(),
        grid: launch.grid,
        threads,
        shared: launch.shared,
        arguments: values.collect::<Result<_>>()?,
    })
}

fn plan(arena: &Arena, product: &Product) -> Result<Plan> {
    if let Some(problem) = product.problem() {
        return Err(Error::Operation { operation: product.name(), problem });
    }
    let maybe = |span: Option<Span>| span.map(|span| arena.address(span)).transpose();
    let addresses = Addresses {
        left: arena.address(product.left)?,
        right: arena.address(product.right)?,
        bias: maybe(product.bias)?,
        start: maybe(product.start)?,
        out: arena.address(product.out)?,
    };
    Plan::new(&arena.inner.device.inner.cublas, product, &addresses)
}

/// A captured program: one call replays it.
pub struct Graph {
    graph: CudaGraph,
    /// What the graph's nodes use: it lives as long as the graph.
    program: Program,
}

// SAFETY: a captured graph belongs to no thread: the driver asks only that two threads don't use it at once, and it can't be shared.
// Each of cudarc's calls binds the context to the thread that makes it.
unsafe impl Send for Graph {}

impl Graph {
    /// Enqueues all of it.
    ///
    /// # Errors
    /// If the driver refuses.
    pub fn replay(&self) -> Result<()> {
        self.graph.launch().map_err(|error| refused("replaying a graph", "the driver", &error.0))
    }

    /// Replays it so often, and tells the milliseconds that each replay took on the GPU.
    ///
    /// # Errors
    /// If the driver refuses, or an operation fails.
    pub fn time(&self, replays: usize) -> Result<Vec<f32>> {
        let device = &self.program.inner.arena.inner.device.inner;
        let told = |error: DriverError| refused("timing a graph", "the driver", &error.0);
        let record = || device.stream.record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)).map_err(told);
        let mut marks = vec![record()?];
        for _ in 0..replays {
            self.replay()?;
            marks.push(record()?);
        }
        device.stream.synchronize().map_err(told)?;
        marks.windows(2).map(|pair| pair[0].elapsed_ms(&pair[1]).map_err(told)).collect()
    }
}
