//! The parameters that a graph asks for: names, shapes, and how they start.

use crate::Trace;

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All one number.
    Constant {
        /// The number.
        value: f32,
    },
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Uniform in [-bound, bound).
    Uniform {
        /// Largest magnitude.
        bound: f64,
    },
}

/// A parameter of a graph: its place in [`Graph::params`](crate::Graph::params).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Param(pub(crate) u32);

impl Param {
    /// Where it stands in the graph's list.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is known of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamInfo {
    /// Its full name.
    pub name: String,
    /// Its shape, row-major.
    pub dims: Vec<usize>,
    /// How it starts.
    pub init: Init,
    /// Whether several layers may ask for it.
    pub(crate) shared: bool,
}

impl ParamInfo {
    /// How many numbers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The parameters of a trace below a name prefix.
///
/// It fails as a trace does: the first error is told by [`Trace::finish`].
#[derive(Debug)]
pub struct Params<'t> {
    trace: &'t Trace,
    prefix: String,
}

impl<'t> Params<'t> {
    pub(crate) fn new(trace: &'t Trace) -> Self {
        Self { trace, prefix: String::new() }
    }

    /// The view below `name`: its parameters are called `prefix.name.*`.
    #[must_use]
    pub fn scope(&self, name: impl std::fmt::Display) -> Self {
        Self { trace: self.trace, prefix: self.full_name(&name.to_string()) }
    }

    /// A parameter of this one layer. Asking for one name twice is an error (see [`Params::shared`]).
    #[track_caller]
    pub fn get(&mut self, name: &str, dims: impl Into<Vec<usize>>, init: Init) -> Param {
        let info = ParamInfo { name: self.full_name(name), dims: dims.into(), init, shared: false };
        self.trace.add_param(info)
    }

    /// A parameter that several layers share on purpose: each asks for it by its one full name.
    #[track_caller]
    pub fn shared(&mut self, name: &str, dims: impl Into<Vec<usize>>, init: Init) -> Param {
        let info = ParamInfo { name: self.full_name(name), dims: dims.into(), init, shared: true };
        self.trace.add_param(info)
    }

    fn full_name(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}
