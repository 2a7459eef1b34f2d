//! Which of its places a step writes.

use super::{At, Kernel, Start};

impl Kernel {
    /// The places that a step of so many writes as results, by number. Room that it only works in isn't among them, nor is what it fills
    /// with a number of the author's own.
    #[must_use]
    pub fn writes(&self, places: usize) -> Vec<usize> {
        let range = match self {
            Self::Product { start: Start::Residual(_), .. } | Self::DotBack { .. } => 2..3,
            Self::Product { .. }
            | Self::RowProduct { .. }
            | Self::ProductGeluOnly { .. }
            | Self::Dot { .. } => 1..2,
            Self::ProductGelu { .. } | Self::ProductGeluBack { .. } => 1..3,
            Self::Norm(_) => 1..4,
            Self::NormBack { .. } => 4..5,
            Self::Attention { .. } | Self::Scan(_) | Self::Shift { .. } | Self::ShiftBack { .. } => 2..4,
            Self::AttentionBack { .. } => 4..6,
            Self::ScanBack(_) => 3..5,
            Self::Lookup(_) | Self::Positions(_) | Self::Rotary { .. } | Self::TakeColumns { .. } => 1..2,
            Self::Add | Self::Copy | Self::Keep { .. } | Self::Gather | Self::Scatter { .. } => 1..2,
            Self::Lose { .. } => 0..1,
            // Backward, these add to the gradients with respect to inputs, which come last.
            Self::IslandBack(of) => places - of.add.len()..places,
            Self::Island(of) => of.inputs.iter().filter(|input| input.is_none()).count()..places,
            Self::Recur(of) => places - of.read.len()..places,
            Self::RecurBack(_) => 0..0,
            // Other columns of the same rows may not be there yet.
            Self::PutColumns { .. } | Self::Fill(_) => 0..0,
            Self::WeightGradient { .. }
            | Self::RowGradient(_)
            | Self::LookupBack(_)
            | Self::PositionsBack(_) => 0..0,
            Self::Point(of) => {
                let place = |at: At| if let At::Place(place) = at { Some(place) } else { None };
                return of.results.iter().filter_map(|(strided, _)| place(strided.at)).collect();
            }
        };
        range.collect()
    }
}
