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
    /// There is no base; what both sides have from before they parted is told by its ids.
    TwoWay,
}
