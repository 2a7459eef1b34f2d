//! A model computing in 64 bits, for derivatives by differences.

use looped_core::{Looping, ParamStore, Prompts, Stateful};
use looped_reference::ReferenceModel;

use crate::{Model, Result};

/// A model's loops in 64 bits, by candle; its parameters are the model's own.
pub struct InF64<'a> {
    model: ReferenceModel,
    store: &'a ParamStore,
    width: usize,
}

impl Model {
    /// The same model, computed in f64, as are its states. It is slow. It is exact enough for derivatives by central differences.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn in_f64(&self) -> Result<InF64<'_>> {
        let model = ReferenceModel::new(std::sync::Arc::clone(self.candle().graph()))?.in_f64();
        Ok(InF64 { model, store: self.parameters(), width: self.width() })
    }
}

impl Stateful for InF64<'_> {
    fn width(&self) -> usize {
        self.width
    }

    fn looping(&self, prompts: &Prompts, loops: usize) -> looped_core::Result<Looping<'_>> {
        Ok(self.model.looping(self.store, prompts, loops)?.into())
    }
}
