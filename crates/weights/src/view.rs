//! Tensors as `torch.save` writes them: each a view of a storage, which several of them may share.

use crate::Array;
use crate::kind::Kind;

/// A run of numbers in an entry of the archive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storage<'p> {
    pub(crate) kind: Kind,
    /// The entry's name inside the archive's folder `data/`.
    pub(crate) key: &'p str,
    /// How many numbers it holds, by the pickle's word.
    pub(crate) len: u64,
}

/// A tensor: element (i, j, ...) stands at `offset` + i `strides[0]` + j `strides[1]` + ... in its storage.
#[derive(Clone, Debug)]
pub(crate) struct View<'p> {
    pub(crate) storage: Storage<'p>,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

impl View<'_> {
    /// How many elements the tensor has, if its last one stands inside the storage and `shape` and `strides` agree.
    pub(crate) fn count(&self) -> Option<usize> {
        if self.shape.len() != self.strides.len() {
            return None;
        }
        let count = self.shape.iter().try_fold(1usize, |count, &len| count.checked_mul(len))?;
        let steps = self.shape.iter().zip(&self.strides);
        let last = steps.filter(|(len, _)| **len > 0).try_fold(self.offset, |last, (len, stride)| {
            (len - 1).checked_mul(*stride).and_then(|way| last.checked_add(way))
        })?;
        (count == 0 || (last as u64) < self.storage.len).then_some(count)
    }

    /// The tensor's elements out of its storage's bytes.
    pub(crate) fn gather(&self, bytes: &[u8]) -> Option<Array> {
        let count = self.count()?;
        let data = self.storage.kind.read(bytes, Positions::of(self), count)?;
        Some(Array { shape: self.shape.clone(), data })
    }
}

/// The places of a view's elements in its storage, the last axis running fastest; they start over after the last.
struct Positions<'v> {
    at: usize,
    index: Vec<usize>,
    view: &'v View<'v>,
}

impl<'v> Positions<'v> {
    fn of(view: &'v View<'v>) -> Self {
        Self { at: view.offset, index: vec![0; view.shape.len()], view }
    }
}

impl Iterator for Positions<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let at = self.at;
        for axis in (0..self.index.len()).rev() {
            let stride = self.view.strides[axis];
            if self.index[axis] + 1 < self.view.shape[axis] {
                self.index[axis] += 1;
                self.at += stride;
                break;
            }
            self.at -= self.index[axis] * stride;
            self.index[axis] = 0;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: usize, shape: &[usize], strides: &[usize]) -> View<'static> {
        let storage = Storage { kind: Kind::F32, key: "0", len: 6 };
        View { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    fn gathered(offset: usize, shape: &[usize], strides: &[usize]) -> Option<Vec<f32>> {
        let bytes: Vec<u8> = [0f32, 1.0, 2.0, 3.0, 4.0, 5.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        view(offset, shape, strides).gather(&bytes).map(|array| array.data)
    }

    #[test]
    fn elements_are_gathered_in_order() {
        assert_eq!(gathered(0, &[2, 3], &[3, 1]), Some(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        assert_eq!(gathered(0, &[3, 2], &[1, 3]), Some(vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(gathered(4, &[2], &[1]), Some(vec![4.0, 5.0]));
        assert_eq!(gathered(1, &[1, 2, 1], &[usize::MAX, 0, usize::MAX]), Some(vec![1.0, 1.0]));
        assert_eq!(gathered(5, &[], &[]), Some(vec![5.0]));
        assert_eq!(gathered(9, &[0, 3], &[1, 1]), Some(vec![]));
    }

    #[test]
    fn a_view_outside_its_storage_is_none() {
        assert_eq!(gathered(6, &[], &[]), None);
        assert_eq!(gathered(1, &[2, 3], &[3, 1]), None);
        assert_eq!(gathered(0, &[2], &[usize::MAX]), None);
        assert_eq!(gathered(0, &[usize::MAX, 2], &[0, 0]), None);
        assert_eq!(gathered(0, &[2], &[1, 1]), None);
    }
}
