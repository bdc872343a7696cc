//! In which way the three libraries of a merge belong together.

/// What the merge may conclude from the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The result grew out of the base at a worker, while home went on from the base as well.
    Burst,
    /// The same once more: the base is what was merged as home's before.
    CatchUp,
    /// The way back: the base grew out of the result, which is the older library, and home went on from the base.
    Back,
    /// The way back once more: the base is what was carried back as home's before.
    BackAgain,
    /// There is no base; what both sides have from before they parted is told by its ids.
    TwoWay,
}

impl Mode {
    /// Whether the result is a library from before the base.
    pub(super) fn is_back(self) -> bool {
        matches!(self, Self::Back | Self::BackAgain)
    }

    /// Whether the base has been merged before, so that only what happened since is to be put on the result.
    pub(super) fn is_again(self) -> bool {
        matches!(self, Self::CatchUp | Self::BackAgain)
    }
}
