//! Places in the arena.

/// What a place holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit floats, or integers where a kernel keeps counts among them.
    F32,
    /// The upper halves of floats.
    Bf16,
    /// 64-bit floats, or integers as wide.
    F64,
    /// Room for whatever a library puts there.
    Byte,
}

impl Element {
    /// Bytes of one.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
            Self::F64 => 8,
            Self::Byte => 1,
        }
    }
}

/// A place in the arena: so many elements from a byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub(crate) offset: usize,
    pub(crate) len: usize,
    pub(crate) element: Element,
}

impl Span {
    /// The number of elements.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "an empty place is as good as any")]
    pub const fn len(self) -> usize {
        self.len
    }

    /// What it holds.
    #[must_use]
    pub const fn element(self) -> Element {
        self.element
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.len * self.element.bytes()
    }

    /// The byte after its last.
    pub(crate) const fn end(self) -> usize {
        self.offset + self.bytes()
    }

    /// `len` of its elements, from `start` on.
    ///
    /// # Panics
    /// If it hasn't so many.
    #[must_use]
    pub fn part(self, start: usize, len: usize) -> Self {
        assert!(start + len <= self.len, "elements {start} to {} of a place of {}", start + len, self.len);
        Self { offset: self.offset + start * self.element.bytes(), len, element: self.element }
    }

    /// The `index`-th of its parts of `len` elements each.
    ///
    /// # Panics
    /// If it hasn't so many.
    #[must_use]
    pub fn slot(self, index: usize, len: usize) -> Self {
        self.part(index * len, len)
    }

    /// The least place that has all of these, which hold floats; of none it is none.
    #[must_use]
    pub fn around(spans: impl IntoIterator<Item = Self>) -> Option<Self> {
        let join = |all: Self, span: Self| {
            let (offset, end) = (all.offset.min(span.offset), all.end().max(span.end()));
            Self { offset, len: (end - offset) / Element::F32.bytes(), element: Element::F32 }
        };
        spans.into_iter().reduce(join)
    }

    /// How many floats after the first of `other`, which is no later, this begins.
    pub(crate) const fn floats_after(self, other: Self) -> usize {
        (self.offset - other.offset) / Element::F32.bytes()
    }

    /// Whether the two have a byte in common.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.offset < other.end() && other.offset < self.end()
    }

    /// The largest power of two, of at most 256, that divides its first byte's number: how it may be loaded.
    pub(crate) const fn alignment(self) -> u32 {
        let low = self.offset.trailing_zeros();
        1 << if low < 8 { low } else { 8 }
    }
}

/// Hands out places of an arena that is still to be made. Each starts at a multiple of 256 bytes.
#[derive(Debug, Default)]
pub struct Layout {
    bytes: usize,
}

impl Layout {
    /// The next `len` elements.
    pub fn place(&mut self, element: Element, len: usize) -> Span {
        let span = Span { offset: self.bytes, len, element };
        self.bytes = span.end().next_multiple_of(256);
        span
    }

    /// The next `len` floats.
    pub fn floats(&mut self, len: usize) -> Span {
        self.place(Element::F32, len)
    }

    /// The bytes that the arena needs.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn places_follow_each_other_without_overlap_and_aligned() {
        let mut layout = Layout::default();
        let spans = [layout.floats(3), layout.place(Element::Bf16, 200), layout.floats(0), layout.floats(1)];
        for pair in spans.windows(2) {
            assert!(pair[0].end() <= pair[1].offset);
        }
        assert!(spans.iter().all(|span| span.alignment() == 256));
        assert_eq!(layout.bytes(), spans[3].offset + 256);
    }

    #[test]
    fn parts_keep_their_place_and_tell_their_alignment() {
        let mut layout = Layout::default();
        layout.floats(1);
        let span = layout.place(Element::Bf16, 64);
        let part = span.slot(3, 12);
        assert_eq!((part.offset, part.len()), (256 + 72, 12));
        assert_eq!(part.alignment(), 8);
    }

    #[test]
    fn the_place_around_others_ends_with_the_last_of_them() {
        let mut layout = Layout::default();
        let spans = [layout.floats(3), layout.floats(100), layout.floats(7)];
        let around = Span::around([spans[2], spans[0].part(1, 2), spans[1]]).unwrap();
        assert_eq!((around.offset, around.end()), (4, spans[2].end()));
        assert_eq!(Span::around([]), None);
    }

    #[test]
    #[should_panic(expected = "elements 4 to 8 of a place of 7")]
    fn a_part_past_the_end_is_refused() {
        let _ = Layout::default().floats(7).slot(1, 4);
    }
}
