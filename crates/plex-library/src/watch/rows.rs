//! From pages that were written to rows that may differ.
//!
//! Guarantee: every row that was added, removed or changed is among those found; more may be.
//!
//! Why it holds, with W the pages that were written since the moment:
//! - A page that is not in W is what it was, in the tree that it was in: SQLite writes every page that it gives to a tree. So
//!   what hangs on it by pages outside of W hangs there still, and pages of W below it belong to its tree as before.
//! - A row that is there now and differs lies on a leaf in W, or on one outside of it with a long value of which a page is in
//!   W. Leaves in W are found from the roots downwards; the second kind keeps its chain (SQLite overwrites such a value in
//!   place or writes its leaf), which the layout leads back to the leaf.
//! - A row that is gone lay on a page in W, or on a page that was cut off from its tree as a whole, which SQLite does not
//!   write when it frees it. What was cut off hung on a page above, in W, that does not lead to it any more.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::layout::{INDEX, Layout, NONE, Tree};
use crate::format::btree;
use crate::format::pages::rowids;

/// Steps upwards after which a chain cannot be one: a long value has at most 2^31 bytes in pages of 512.
const LONGEST: usize = 1 << 23;

/// Row ids, per table.
pub(crate) type Rows = HashMap<String, BTreeSet<i64>>;

/// The rows that may differ, by the pages `written` since `before`; `read` is such a page as it is now.
pub(super) fn find(before: &Layout, written: &HashSet<u32>, read: impl Fn(u32) -> Option<Vec<u8>>) -> Option<Rows> {
    let mut found: HashMap<Tree, BTreeSet<i64>> = HashMap::new();
    let usable = before.pages.usable;
    let mut below = chained(before, written)?;
    let mut attached: HashMap<u32, Tree> = HashMap::new();
    let mut next: Vec<(u32, Tree)> = before.roots.clone();
    while let Some((page, tree)) = next.pop() {
        if attached.insert(page, tree).is_some() {
            // Two ways to one page: no tree.
            return None;
        }
        if !written.contains(&page) {
            if before.tree(page) != tree {
                return None;
            }
            next.extend(
                below
                    .remove(&page)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|page| (page, tree)),
            );
            continue;
        }
        let bytes = read(page)?;
        let (kind, pointers) = btree::parse(page, &bytes, usable).ok()?;
        if !kind.is_table() {
            return None;
        }
        if pointers.children.is_empty() {
            rowids(page, &bytes, usable, found.entry(tree).or_default())?;
        }
        next.extend(pointers.children.into_iter().map(|child| (child, tree)));
    }
    for &page in written {
        match before.tree(page) {
            INDEX => {}
            NONE => {
                if let Some((leaf, tree)) = owner(before, page)? {
                    rowids(leaf, &before.pages.read(leaf)?, usable, found.entry(tree).or_default())?;
                }
            }
            tree => {
                let gone = |child: &u32| !written.contains(child) && !attached.contains_key(child);
                all_below(before, page, tree, &gone, found.entry(tree).or_default())?;
            }
        }
    }
    found
        .into_iter()
        .map(|(tree, ids)| Some((before.name(tree)?.to_owned(), ids)))
        .collect()
}

/// Written pages by the page that leads to them: the uppermost one that was not written itself.
fn chained(before: &Layout, written: &HashSet<u32>) -> Option<HashMap<u32, Vec<u32>>> {
    let mut below: HashMap<u32, Vec<u32>> = HashMap::new();
    for &page in written {
        if matches!(before.tree(page), NONE | INDEX) {
            continue;
        }
        let mut top = page;
        for step in 0.. {
            let above = before.above(top);
            if above == 0 || written.contains(&above) {
                break;
            }
            if step > 64 {
                return None;
            }
            top = above;
        }
        if top != page {
            below.entry(top).or_default().push(page);
        }
    }
    Some(below)
}

/// The leaf, and its table, of a long value that a page was part of.
fn owner(before: &Layout, page: u32) -> Option<Option<(u32, Tree)>> {
    let mut at = page;
    for _ in 0..LONGEST {
        at = before.above(at);
        if at == 0 {
            return Some(None);
        }
        match before.tree(at) {
            NONE => {}
            INDEX => return Some(None),
            tree => return Some(Some((at, tree))),
        }
    }
    None
}

/// Adds the rows of a leaf as they were; of a page above leaves those of its children that are `gone`, with all below them.
fn all_below(
    before: &Layout,
    page: u32,
    tree: Tree,
    gone: &dyn Fn(&u32) -> bool,
    ids: &mut BTreeSet<i64>,
) -> Option<()> {
    let bytes = before.pages.read(page)?;
    let (_, pointers) = btree::parse(page, &bytes, before.pages.usable).ok()?;
    if pointers.children.is_empty() {
        return rowids(page, &bytes, before.pages.usable, ids);
    }
    let mut next: Vec<u32> = pointers.children.into_iter().filter(gone).collect();
    while let Some(page) = next.pop() {
        if before.tree(page) != tree {
            return None;
        }
        let bytes = before.pages.read(page)?;
        let (_, pointers) = btree::parse(page, &bytes, before.pages.usable).ok()?;
        if pointers.children.is_empty() {
            rowids(page, &bytes, before.pages.usable, ids)?;
        }
        // What was written below it, wherever that is now, speaks for itself.
        next.extend(pointers.children);
    }
    Some(())
}
