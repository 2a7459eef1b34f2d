//! Numbers of all parameters in one buffer: where each parameter's lie, and the buffer.
//!
//! Parameters, their gradients and what an optimiser keeps of them are each one [`Flat`]. Names and shapes matter at the border alone: in files,
//! and where candle computes.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use looped_graph::Graph;
use looped_ops::AlignedBuffer;

use crate::{Error, Result};

/// Floats in a cache line.
const LINE: usize = 16;

/// Where one parameter's numbers lie in a flat buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its full name.
    pub name: String,
    /// Its shape; the numbers are row-major.
    pub dims: Vec<usize>,
    /// Its numbers.
    pub range: Range<usize>,
}

/// Where the numbers of several parameters lie in a flat buffer: one parameter after the other, each from a cache line on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    places: Vec<Place>,
    /// The places' indices, in the order of their names.
    by_name: Vec<usize>,
    len: usize,
}

impl Layout {
    /// The places of parameters with these names and shapes; no name may come twice.
    #[must_use]
    pub fn new(named: impl IntoIterator<Item = (String, Vec<usize>)>) -> Self {
        let mut len = 0;
        let place = |(name, dims): (String, Vec<usize>)| {
            let range = len..len + dims.iter().product::<usize>();
            len = range.end.next_multiple_of(LINE);
            Place { name, dims, range }
        };
        let places: Vec<Place> = named.into_iter().map(place).collect();
        let mut by_name: Vec<usize> = (0..places.len()).collect();
        by_name.sort_by_key(|i| &places[*i].name);
        Self { places, by_name, len }
    }

    /// The places of a recorded model's parameters, in the order of [`Graph::params`].
    #[must_use]
    pub fn of(graph: &Graph) -> Self {
        Self::new(graph.params().iter().map(|info| (info.name.clone(), info.dims.clone())))
    }

    /// The places, in the order in which they lie.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The places, in the order of their names.
    pub fn by_name(&self) -> impl Iterator<Item = &Place> {
        self.by_name.iter().map(|i| &self.places[*i])
    }

    /// The place of the parameter called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Place> {
        let found = self.by_name.binary_search_by_key(&name, |i| self.places[*i].name.as_str());
        found.ok().map(|at| &self.places[self.by_name[at]])
    }

    /// Floats of a buffer: all numbers, and the gaps between parameters.
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "a model without parameters is nothing that anyone asks for"
    )]
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many numbers the parameters have together.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.iter().map(|place| place.range.len()).sum()
    }

    /// Whether these are tensors of just these names and shapes, in f32.
    ///
    /// # Errors
    /// If a name is missing, unknown, or of another shape or type; all of them are told.
    pub fn check(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut wrong = Vec::new();
        for Place { name, dims, .. } in self.by_name() {
            match tensors.get(name) {
                None => wrong.push(format!("{name} is missing (expected shape {dims:?})")),
                Some(value) if value.dims() != dims => {
                    wrong.push(format!("{name} has shape {:?}, the model needs {dims:?}", value.dims()));
                }
                Some(value) if value.dtype() != DType::F32 => {
                    wrong.push(format!("{name} holds {:?}, the model needs F32", value.dtype()));
                }
                Some(_) => {}
            }
        }
        let unknown = tensors.keys().filter(|name| self.find(name).is_none());
        wrong.extend(unknown.map(|name| format!("{name} is not in the model")));
        if wrong.is_empty() { Ok(()) } else { Err(Error::Parameters(wrong.join("\n"))) }
    }
}

/// A number for each of the parameters' numbers, in one buffer; the gaps between parameters hold zeros.
#[derive(Clone, Debug)]
pub struct Flat {
    layout: Arc<Layout>,
    values: AlignedBuffer,
}

impl Flat {
    /// Zeros.
    #[must_use]
    pub fn zeros(layout: Arc<Layout>) -> Self {
        let values = AlignedBuffer::zeros(layout.len);
        Self { layout, values }
    }

    /// What a buffer holds at its beginning, where the layout's gaps must be 0.
    ///
    /// # Errors
    /// If it is shorter than the layout.
    pub fn from_buffer(layout: Arc<Layout>, mut values: AlignedBuffer) -> Result<Self> {
        if values.len() < layout.len {
            return Err(Error::Parameters(format!("{} floats for {}", values.len(), layout.len)));
        }
        values.resize(layout.len);
        Ok(Self { layout, values })
    }

    /// A copy of tensors.
    ///
    /// # Errors
    /// As [`Layout::check`]; if a device fails.
    pub fn from_tensors(layout: Arc<Layout>, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        layout.check(tensors)?;
        let mut flat = Self::zeros(layout);
        for (place, values) in flat.named_mut() {
            values.copy_from_slice(&tensors[&place.name].flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(flat)
    }

    /// Where each parameter's numbers lie.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The numbers of the parameter called `name`, row-major.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        Some(&self.values[self.layout.find(name)?.range.clone()])
    }

    /// The numbers of the parameter called `name`, row-major.
    #[must_use]
    pub fn get_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        Some(&mut self.values[self.layout.find(name)?.range.clone()])
    }

    /// Each parameter with its numbers, in the order in which they lie.
    pub fn named(&self) -> impl Iterator<Item = (&Place, &[f32])> {
        self.layout.places.iter().map(|place| (place, &self.values[place.range.clone()]))
    }

    /// Each parameter with its numbers, in the order in which they lie.
    pub fn named_mut(&mut self) -> impl Iterator<Item = (&Place, &mut [f32])> {
        let (mut rest, mut at) = (&mut *self.values, 0);
        self.layout.places.iter().map(move |place| {
            let (own, later) = std::mem::take(&mut rest).split_at_mut(place.range.end - at);
            let gap = place.range.start - at;
            (rest, at) = (later, place.range.end);
            (place, &mut own[gap..])
        })
    }

    /// A copy of the numbers of the parameter called `name`, as a tensor of its shape.
    ///
    /// # Errors
    /// If there is no such parameter, or the device has no room.
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Tensor> {
        let missing = || Error::Parameters(format!("{name} is missing"));
        let place = self.layout.find(name).ok_or_else(missing)?;
        Ok(Tensor::from_slice(&self.values[place.range.clone()], place.dims.as_slice(), device)?)
    }

    /// A copy of all numbers, as tensors of the parameters' shapes, by name.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn tensors(&self, device: &Device) -> Result<BTreeMap<String, Tensor>> {
        let tensor = |(place, values): (&Place, &[f32])| {
            Ok((place.name.clone(), Tensor::from_slice(values, place.dims.as_slice(), device)?))
        };
        self.named().map(tensor).collect()
    }
}

/// All numbers, gaps included.
impl Deref for Flat {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl DerefMut for Flat {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

impl PartialEq for Flat {
    fn eq(&self, other: &Self) -> bool {
        self.layout == other.layout && **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Arc<Layout> {
        let named = [("b", vec![2, 3]), ("c", vec![1]), ("a", vec![17])];
        Arc::new(Layout::new(named.map(|(name, dims)| (name.to_owned(), dims))))
    }

    #[test]
    fn each_parameter_begins_a_cache_line_and_is_found_by_its_name() {
        let layout = layout();
        let ranges: Vec<_> = layout.places().iter().map(|place| place.range.clone()).collect();
        assert_eq!(ranges, [0..6, 16..17, 32..49]);
        assert_eq!((layout.len(), layout.count()), (64, 24));
        assert!(layout.by_name().map(|place| place.name.as_str()).eq(["a", "b", "c"]));
        assert_eq!(layout.find("a").unwrap().range, 32..49);
        assert_eq!(layout.find("d"), None);
    }

    #[test]
    fn numbers_are_the_same_by_place_by_name_and_as_tensors() {
        let mut flat = Flat::zeros(layout());
        for (i, (_, values)) in flat.named_mut().enumerate() {
            values.iter_mut().enumerate().for_each(|(j, value)| *value = (100 * i + j) as f32);
        }
        assert_eq!(flat.get("b").unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((flat[16], flat[32], flat[48], flat[49]), (100.0, 200.0, 216.0, 0.0));
        let tensors = flat.tensors(&Device::Cpu).unwrap();
        assert_eq!(tensors["b"].dims(), [2, 3]);
        assert_eq!(Flat::from_tensors(layout(), &tensors).unwrap(), flat);
        flat.get_mut("c").unwrap()[0] = 7.0;
        assert_eq!(flat.tensor("c", &Device::Cpu).unwrap().to_vec1::<f32>().unwrap(), [7.0]);
        assert!(flat.tensor("d", &Device::Cpu).unwrap_err().to_string().contains("d is missing"));
    }
}
