//! What a pickle builds: values, and the objects that they refer to by number.

use crate::globals::Global;
use crate::view::{Storage, View};

/// A value on the machine's stack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'p> {
    /// Anything that no weight depends on: none, truth values, floats, lists.
    Fact,
    Int(i64),
    Text(&'p str),
    Global(Global),
    /// The number of an object in the heap.
    Object(usize),
}

/// What a value may refer to.
#[derive(Debug)]
pub(super) enum Object<'p> {
    Tuple(Vec<Value<'p>>),
    Dict(Vec<(Value<'p>, Value<'p>)>),
    Storage(Storage<'p>),
    Tensor(Box<View<'p>>),
}
