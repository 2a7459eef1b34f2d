//! A looped model as a small static graph: recorded once, read by every engine.
//!
//! A block is written as an expression over [`Value`]s and run once, when a model is built. That run computes nothing: it
//! records a [`Graph`] of what is to be computed. Everything else is read off the graph: what an engine runs, the gradient, what must be
//! kept for it, how often each value has to be computed ([`Rate`]), which rows never change from loop to loop ([`invariant_rows`]), which nobody
//! reads ([`Demand`]), and what a pass costs.
//!
//! # Values
//!
//! A value is rows of one width: one row for each token of each prompt, one for each prompt, or one in all ([`Rows`]). There is no batch
//! axis, so a block can't mix prompts.
//!
//! ```
//! use looped_graph::{Init, Linear, Norm, Trace};
//!
//! let trace = Trace::new();
//! let (norm, project) = {
//!     let mut params = trace.params();
//!     (Norm::layer(8, &mut params.scope("ln")), Linear::normal(8, 8, 0.02, &mut params.scope("proj")))
//! };
//! let input = trace.input(8);
//! let state = trace.carry(input.like(0.0));
//! let x = state.value() + input;
//! trace.next(state, x + x.norm(&norm).linear(&project));
//! let graph = trace.finish().unwrap();
//! assert_eq!(graph.params().len(), 4);
//! assert_eq!(graph.params()[2].name, "proj.weight");
//! ```
//!
//! # Reading this crate
//!
//! [`Value`] is the language, `ops` its words, one a file, each with all its rules. `rates` and `rows` are what is known of a graph before
//! it is run.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod block;
pub mod cell;
mod cost;
mod error;
mod form;
mod graph;
mod layers;
pub mod lower;
mod op;
pub mod ops;
mod params;
mod point;
mod rates;
mod rows;
mod shape;
mod trace;
mod value;

pub use block::{At, Block, Inject};
pub use cost::{Flops, flops, flops_by_node, kept_by_candle};
pub use error::TraceError;
pub use form::Form;
pub use graph::{Carried, Graph, Node, NodeId, Source, Wire};
pub use layers::{Heads, Linear, Norm, NormKind};
pub use op::{Meaning, Op, Reach};
pub use params::{Init, Param, ParamInfo, Params};
pub use point::{Instruction, PointBuilder, PointProgram, Reg};
pub use rates::{Rate, rates};
pub use rows::{Demand, demand, invariant_rows, sees_later_rows, unchanging_tokens};
pub use shape::{Rows, Shape};
pub use trace::{State, Trace};
pub use value::Value;
