//! cuBLASLt: how each product is done is asked once, and kept.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{
    self, cublasComputeType_t as Compute, cublasLtEpilogue_t as Epilogue,
    cublasLtMatmulDescAttributes_t as Describes, cublasLtMatmulPreferenceAttributes_t as Prefers,
    cudaDataType as Type,
};
use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr};

use super::refused;
use crate::product::Columns;
use crate::{Element, Error, Math, Product, Result, Span};

/// Bytes that cuBLASLt may work in, whatever the products: NVIDIA's advice for Hopper. Each open device takes them.
pub const WORKSPACE: usize = 32 << 20;
/// Partial sums of a split product are kept as floats, and added in a fixed order.
const REDUCTION: u32 = 2;
/// Algorithms asked for, the fastest by cuBLASLt's own reckoning first.
const ASKED: usize = 8;

/// The library's handle with its workspace.
pub(super) struct Cublas {
    handle: sys::cublasLtHandle_t,
    stream: Arc<CudaStream>,
    workspace: CudaSlice<u8>,
    /// What was asked for once: a step has many products of one shape.
    known: Mutex<HashMap<Asked, Algorithms>>,
}

/// What the ways to do a product depend on.
#[derive(PartialEq, Eq, Hash)]
struct Asked {
    columns: Columns,
    math: Math,
    out: Element,
    with_bias: bool,
    /// Bytes that the places of the operands, of what is added, and of the result are multiples of.
    alignments: [u32; 4],
}

/// The ways to do a product, those first that cuBLASLt expects to be the fastest.
type Algorithms = Arc<[sys::cublasLtMatmulAlgo_t]>;

// SAFETY: the handle may be used by any thread: cuBLASLt's functions take their stream and keep nothing of a call in it.
unsafe impl Send for Cublas {}
// SAFETY: as above; what is shared is read only.
unsafe impl Sync for Cublas {}

impl Drop for Cublas {
    fn drop(&mut self) {
        // SAFETY: made by `new`, destroyed once. A failure has nobody to go to.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

fn told(doing: &str) -> impl Fn(CublasError) -> Error {
    move |error| refused(doing, "cuBLASLt", &error.0)
}

impl Cublas {
    pub(super) fn new(stream: &Arc<CudaStream>) -> Result<Self> {
        // SAFETY: nobody but cuBLASLt reads the workspace, and it writes first.
        let workspace = unsafe { stream.alloc::<u8>(WORKSPACE) }
            .map_err(|error| refused("allocating cuBLASLt's workspace", "the driver", &error.0))?;
        let handle = result::create_handle().map_err(told("starting cuBLASLt"))?;
        Ok(Self { handle, stream: stream.clone(), workspace, known: Mutex::default() })
    }

    pub(super) fn version(&self) -> usize {
        // SAFETY: the library is open.
        unsafe { sys::cublasLtGetVersion() }
    }

    /// Enqueues a planned product.
    pub(super) fn run(&self, plan: &Plan) -> Result<()> {
        let (one, beta) = (1.0_f32, if plan.starts { 1.0_f32 } else { 0.0 });
        let pointer = |address: CUdeviceptr| address as *mut c_void;
        let (workspace, _guard) = self.workspace.device_ptr(&self.stream);
        // SAFETY: descriptors live in the plan; the places were checked to hold matrices of the sides described
        // (`Product::problem`) inside the arena, which the plan's program keeps alive; factors are read before the call
        // returns; the algorithm was chosen for these descriptors and no more workspace than this.
        let done = unsafe {
            result::matmul(
                self.handle,
                plan.description.0,
                (&raw const one).cast(),
                (&raw const beta).cast(),
                pointer(plan.first),
                plan.layouts[0].0,
                pointer(plan.second),
                plan.layouts[1].0,
                pointer(plan.start),
                plan.layouts[2].0,
                pointer(plan.out),
                plan.layouts[2].0,
                &raw const plan.algorithms[plan.taken],
                pointer(workspace),
                WORKSPACE,
                self.stream.cu_stream().cast(),
            )
        };
        done.map_err(told(&plan.name))
    }
}

/// The places of a product.
pub(super) struct Addresses {
    pub(super) left: CUdeviceptr,
    pub(super) right: CUdeviceptr,
    pub(super) bias: Option<CUdeviceptr>,
    pub(super) start: Option<CUdeviceptr>,
    pub(super) out: CUdeviceptr,
}

/// A product ready to be run.
pub(super) struct Plan {
    name: String,
    description: Description,
    /// Of the first operand, the second, and the result.
    layouts: [MatrixLayout; 3],
    /// The ways to do it, and the one that is taken.
    algorithms: Algorithms,
    taken: usize,
    first: CUdeviceptr,
    second: CUdeviceptr,
    start: CUdeviceptr,
    starts: bool,
    out: CUdeviceptr,
}

// SAFETY: descriptors are plain memory of the library's, changed only while the plan is made, and read by any thread.
unsafe impl Send for Plan {}
// SAFETY: as above.
unsafe impl Sync for Plan {}

struct Description(sys::cublasLtMatmulDesc_t);
struct MatrixLayout(sys::cublasLtMatrixLayout_t);
struct Preference(sys::cublasLtMatmulPreference_t);

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: made by `create_matmul_desc`, destroyed once.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}
impl Drop for MatrixLayout {
    fn drop(&mut self) {
        // SAFETY: made by `create_matrix_layout`, destroyed once.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}
impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: made by `create_matmul_pref`, destroyed once.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

const fn type_of(element: Element) -> Type {
    match element {
        Element::Bf16 => Type::CUDA_R_16BF,
        _ => Type::CUDA_R_32F,
    }
}

impl Description {
    fn set<T>(&self, attribute: Describes, value: &T) -> std::result::Result<(), CublasError> {
        // SAFETY: the description is alive, and the value has the attribute's type and is copied.
        unsafe {
            result::set_matmul_desc_attribute(self.0, attribute, ptr::from_ref(value).cast(), size_of::<T>())
        }
    }
}

impl Preference {
    fn set<T>(&self, attribute: Prefers, value: &T) -> std::result::Result<(), CublasError> {
        // SAFETY: the preference is alive, and the value has the attribute's type and is copied.
        unsafe {
            result::set_matmul_pref_attribute(self.0, attribute, ptr::from_ref(value).cast(), size_of::<T>())
        }
    }
}

impl Plan {
    /// Asks cuBLASLt how to do a product whose places were checked.
    pub(super) fn new(cublas: &Cublas, product: &Product, at: &Addresses) -> Result<Self> {
        let name = product.name();
        let failed = |error: CublasError| refused(name.as_str(), "cuBLASLt", &error.0);
        let columns = product.columns();
        let Columns { m, n, k, transposed, lda, ldb, ldc, swapped } = columns;
        let compute = match product.math {
            Math::Tf32 => Compute::CUBLAS_COMPUTE_32F_FAST_TF32,
            Math::F32 | Math::Bf16 => Compute::CUBLAS_COMPUTE_32F,
        };
        let description = Description(result::create_matmul_desc(compute, Type::CUDA_R_32F).map_err(failed)?);
        let sides = [Describes::CUBLASLT_MATMUL_DESC_TRANSA, Describes::CUBLASLT_MATMUL_DESC_TRANSB];
        for (side, transposed) in sides.into_iter().zip(transposed) {
            description.set(side, &i32::from(transposed)).map_err(failed)?;
        }
        if let Some(bias) = at.bias {
            let epilogue = Epilogue::CUBLASLT_EPILOGUE_BIAS as u32;
            description.set(Describes::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue).map_err(failed)?;
            description.set(Describes::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias).map_err(failed)?;
        }
        let layout = |element: Element, rows: usize, columns: usize, stride: usize| {
            result::create_matrix_layout(type_of(element), rows as u64, columns as u64, stride as i64)
                .map(MatrixLayout)
        };
        let (operand, out) = (product.math.operands(), product.out.element());
        let stored = |transposed: bool, rows: usize, columns: usize| {
            if transposed { (columns, rows) } else { (rows, columns) }
        };
        let ((a_rows, a_columns), (b_rows, b_columns)) =
            (stored(transposed[0], m, k), stored(transposed[1], k, n));
        let layouts = [
            layout(operand, a_rows, a_columns, lda).map_err(failed)?,
            layout(operand, b_rows, b_columns, ldb).map_err(failed)?,
            layout(out, m, n, ldc).map_err(failed)?,
        ];
        let [first, second] =
            if swapped { [product.right, product.left] } else { [product.left, product.right] };
        let start = product.start.unwrap_or(product.out);
        let asked = Asked {
            columns,
            math: product.math,
            out,
            with_bias: at.bias.is_some(),
            alignments: [first, second, start, product.out].map(Span::alignment),
        };
        let algorithms = cublas.algorithms(asked, &description, &layouts).map_err(failed)?;
        if algorithms.is_empty() {
            return Err(Error::NoAlgorithm { product: name });
        }
        let [first, second] = if swapped { [at.right, at.left] } else { [at.left, at.right] };
        let (start, starts) = (at.start.unwrap_or(at.out), at.start.is_some());
        Ok(Self {
            name,
            description,
            layouts,
            algorithms,
            taken: 0,
            first,
            second,
            start,
            starts,
            out: at.out,
        })
    }
}

impl Plan {
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }

    /// Takes a way that was found for a product of the same shape.
    pub(super) fn take(&mut self, way: usize) -> Result<()> {
        if way >= self.algorithms.len() {
            return Err(Error::NoAlgorithm { product: self.name.clone() });
        }
        self.taken = way;
        Ok(())
    }

    /// Takes the way that is the fastest by the given clock, which runs the plan and tells how long it took.
    pub(super) fn tune(&mut self, mut clock: impl FnMut(&Self) -> Result<f32>) -> Result<()> {
        let mut best = (f32::INFINITY, 0);
        for index in 0..self.algorithms.len() {
            self.taken = index;
            // Somewhat better is noise: then cuBLASLt's own order stands.
            let took = clock(self)?;
            if took < 0.97 * best.0 {
                best = (took, index);
            }
        }
        self.taken = best.1;
        Ok(())
    }
}

impl Cublas {
    /// The ways to do a product, described as it was asked for: asked of the library the first time.
    fn algorithms(
        &self,
        asked: Asked,
        description: &Description,
        layouts: &[MatrixLayout; 3],
    ) -> std::result::Result<Algorithms, CublasError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(algorithms) = known.get(&asked) {
            return Ok(Arc::clone(algorithms));
        }
        let preference = Preference(result::create_matmul_pref()?);
        preference.set(Prefers::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE)?;
        preference.set(Prefers::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &REDUCTION)?;
        for (attribute, alignment) in [
            Prefers::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Prefers::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Prefers::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Prefers::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ]
        .into_iter()
        .zip(asked.alignments)
        {
            preference.set(attribute, &alignment)?;
        }
        let algorithms = Algorithms::from(algorithms(self, description, layouts, &preference)?);
        known.insert(asked, Arc::clone(&algorithms));
        Ok(algorithms)
    }
}

/// The algorithms that cuBLASLt expects to be the fastest.
fn algorithms(
    cublas: &Cublas,
    description: &Description,
    layouts: &[MatrixLayout; 3],
    preference: &Preference,
) -> std::result::Result<Vec<sys::cublasLtMatmulAlgo_t>, CublasError> {
    // SAFETY: plain numbers throughout, for which zeros are values.
    let mut found: [sys::cublasLtMatmulHeuristicResult_t; ASKED] = unsafe { std::mem::zeroed() };
    let mut count = 0;
    // SAFETY: handle, descriptors and preference are alive; there is room for as many results as are asked for.
    let status = unsafe {
        sys::cublasLtMatmulAlgoGetHeuristic(
            cublas.handle,
            description.0,
            layouts[0].0,
            layouts[1].0,
            layouts[2].0,
            layouts[2].0,
            preference.0,
            ASKED as i32,
            found.as_mut_ptr(),
            &raw mut count,
        )
    };
    match status {
        sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED => return Ok(vec![]),
        status => status.result()?,
    }
    let good =
        |one: &&sys::cublasLtMatmulHeuristicResult_t| one.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS;
    let count = usize::try_from(count).unwrap_or(0);
    Ok(found.iter().take(count).filter(good).map(|one| one.algo).collect())
}
