//! The part of a long list that a reader asks for.

/// The part of a list to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The number of rows on a page.
    pub size: i64,
    /// The page, counted from 0; the last one if there are fewer.
    pub page: i64,
}

impl Slice {
    /// The whole list.
    pub const ALL: Slice = Slice { size: i64::MAX, page: 0 };
}
