//! Where everything lies in a copy of a database, which is at rest: to which tree each page belongs, and by which page it is reached.
//!
//! Six bytes per page: 15 MB for a library of 2.4 million pages, 90 MB for one of 15 GB in pages of 1 KiB. Made by one
//! walk over the pages above the leaves and one reading of the whole file, while nobody waits for it.
//!
//! `None` wherever the file is not what is understood here (trees that share a page, auto-vacuum, tables without row ids).

use std::path::Path;

use crate::format::be32;
use crate::format::btree::{self, PageKind};
use crate::format::header::Header;
use crate::format::pages::Pages;
use crate::open;

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// A tree: 1 is any index, from 2 on tables in the order of [`Layout::names`].
pub(super) type Tree = u16;
/// A page that belongs to none: free, of a long value, or not there.
pub(super) const NONE: Tree = 0;
/// Any index.
pub(super) const INDEX: Tree = 1;

/// Where everything lies.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) pages: Pages,
    /// Names of the tables, the first being tree 2.
    names: Vec<String>,
    /// Roots of the tables.
    pub(super) roots: Vec<(u32, Tree)>,
    trees: Vec<Tree>,
    /// The page above one of a tree, and the page before one of a long value; 0 for roots and for what is reached by none.
    up: Vec<u32>,
}

impl Layout {
    /// Reads the whole of a copy that nobody writes to.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let header = Header::read(&std::fs::File::open(path).ok()?, path).ok()?;
        if header.largest_root != 0 {
            return None;
        }
        let pages = Pages::open(path)?;
        let seats = pages.count as usize + 1;
        let mut layout = Self {
            trees: vec![NONE; seats],
            up: vec![0; seats],
            names: Vec::new(),
            roots: Vec::new(),
            pages,
        };
        for (name, root) in roots(path)? {
            let tree = match name {
                Some(name) => {
                    layout.names.push(name);
                    let tree = Tree::try_from(layout.names.len() + 1).ok()?;
                    layout.roots.push((root, tree));
                    tree
                }
                None => INDEX,
            };
            layout.walk(root, tree)?;
        }
        layout.long_values()?;
        Some(layout)
    }

    /// The tree of a page.
    pub(super) fn tree(&self, page: u32) -> Tree {
        self.trees.get(page as usize).copied().unwrap_or(NONE)
    }

    /// The page by which a page is reached; 0 if there is none.
    pub(super) fn above(&self, page: u32) -> u32 {
        self.up.get(page as usize).copied().unwrap_or(0)
    }

    /// The name of a table.
    pub(super) fn name(&self, tree: Tree) -> Option<&str> {
        self.names.get(usize::from(tree).checked_sub(2)?).map(String::as_str)
    }

    fn walk(&mut self, root: u32, tree: Tree) -> Option<()> {
        let mut level = vec![(root, 0)];
        loop {
            // All leaves of a tree are equally deep, so one page tells what its whole level is.
            let first = level.first()?.0;
            let (kind, _) = btree::parse(first, &self.pages.read(first)?, self.pages.usable).ok()?;
            if kind.is_table() == (tree == INDEX) {
                return None;
            }
            let is_leaf = matches!(kind, PageKind::LeafTable | PageKind::LeafIndex);
            let mut below = Vec::new();
            for (page, above) in level {
                let seat = self.trees.get_mut(page as usize)?;
                if *seat != NONE {
                    return None;
                }
                *seat = tree;
                self.up[page as usize] = above;
                if !is_leaf {
                    let (_, pointers) = btree::parse(page, &self.pages.read(page)?, self.pages.usable).ok()?;
                    below.extend(pointers.children.into_iter().map(|child| (child, page)));
                }
            }
            if is_leaf {
                return Some(());
            }
            level = below;
        }
    }

    /// Follows the chains of all values that do not fit into their page.
    fn long_values(&mut self) -> Option<()> {
        let size = self.pages.size as usize;
        let mut chunk = vec![0; CHUNK.max(size)];
        let mut page = 1;
        while page <= self.pages.count {
            let count = (chunk.len() / size).min((self.pages.count - page + 1) as usize);
            let read = &mut chunk[..count * size];
            self.pages.read_many(page, read)?;
            for (number, bytes) in (page..).zip(read.chunks_exact(size)) {
                if self.trees[number as usize] == NONE {
                    continue;
                }
                let (_, pointers) = btree::parse(number, bytes, self.pages.usable).ok()?;
                for overflow in pointers.overflows {
                    let (mut before, mut next) = (number, overflow.first);
                    for left in (0..overflow.pages).rev() {
                        let seat = self.up.get_mut(next as usize)?;
                        if self.trees[next as usize] != NONE || *seat != 0 {
                            return None;
                        }
                        *seat = before;
                        if left > 0 {
                            (before, next) = (next, be32(&self.pages.read(next)?, 0));
                        }
                    }
                }
            }
            page += u32::try_from(count).ok()?;
        }
        Some(())
    }
}

/// Root pages, with the names of those that are tables'.
fn roots(path: &Path) -> Option<Vec<(Option<String>, u32)>> {
    let reader = open::read_only(path).ok()?;
    let mut statement = reader
        .prepare("SELECT iif(type = 'table', name, NULL), rootpage FROM sqlite_schema WHERE rootpage > 0")
        .ok()?;
    let mut found: Vec<(Option<String>, u32)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .ok()?
        .collect::<Result<_, _>>()
        .ok()?;
    found.push((Some("sqlite_schema".into()), 1));
    Some(found)
}
