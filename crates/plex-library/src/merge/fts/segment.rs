//! A segment of an FTS4 index: a sorted list of terms, each with the documents and places where it stands.
//!
//! Format (fts3_write.c of SQLite): a leaf node is a run of entries (shared prefix, suffix, length of the doclist,
//! doclist); the prefix refers to the term before, also across the node's start, where it is 0. A doclist is a run of
//! (docid as difference, positions); positions are differences plus 2, 1 begins another column, 0 ends. A document
//! without positions says: in older segments this term of this document is gone.

use std::collections::BTreeMap;

use super::varint::{put, take, take_len};

/// Where a term stands in a document: column and position, ascending.
pub(super) type Places = Vec<(u64, u64)>;

/// A term's documents. No places: the term is gone from the document.
pub(super) type Documents = BTreeMap<i64, Places>;

/// Calls `each` with every term of a leaf node and its doclist. `None` if the node is broken.
pub(super) fn leaf(mut node: &[u8], each: &mut impl FnMut(&[u8], &[u8])) -> Option<()> {
    let mut term: Vec<u8> = Vec::new();
    while !node.is_empty() {
        let prefix = take_len(&mut node)?;
        let suffix = take_len(&mut node)?;
        if prefix > term.len() || suffix == 0 || suffix > node.len() {
            return None;
        }
        term.truncate(prefix);
        term.extend_from_slice(&node[..suffix]);
        node = &node[suffix..];
        let length = take_len(&mut node)?;
        if length == 0 || length > node.len() {
            return None;
        }
        each(&term, &node[..length]);
        node = &node[length..];
    }
    Some(())
}

/// Calls `each` with every document of a doclist and its still encoded places.
pub(super) fn doclist(mut list: &[u8], each: &mut impl FnMut(i64, &[u8])) -> Option<()> {
    let mut docid = 0i64;
    while !list.is_empty() {
        docid = docid.wrapping_add(take(&mut list)?.cast_signed());
        let end = places_end(list)?;
        each(docid, &list[..end]);
        list = &list[end + 1..];
    }
    Some(())
}

/// Where the positions end: at the first zero that is a number of its own.
fn places_end(list: &[u8]) -> Option<usize> {
    let mut continued = false;
    for (n, &byte) in list.iter().enumerate() {
        if byte == 0 && !continued {
            return Some(n);
        }
        continued = byte & 0x80 != 0;
    }
    None
}

/// Decodes the places of one document.
pub(super) fn places(mut encoded: &[u8]) -> Option<Places> {
    let (mut column, mut position) = (0, 0);
    let mut out = Vec::new();
    while !encoded.is_empty() {
        match take(&mut encoded)? {
            0 => return None,
            1 => {
                column = take(&mut encoded)?;
                position = 0;
            }
            step => {
                position += step - 2;
                out.push((column, position));
            }
        }
    }
    Some(out)
}

/// Encodes a doclist.
pub(super) fn encode_doclist(documents: &Documents) -> Vec<u8> {
    let mut out = Vec::new();
    let mut last = 0i64;
    for (&docid, places) in documents {
        put(&mut out, docid.wrapping_sub(last).cast_unsigned());
        last = docid;
        let (mut column, mut position) = (0, 0);
        for &(in_column, at) in places {
            if in_column != column {
                out.push(1);
                put(&mut out, in_column);
                (column, position) = (in_column, 0);
            }
            put(&mut out, at - position + 2);
            position = at;
        }
        out.push(0);
    }
    out
}

/// A segment ready to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Encoded {
    /// Leaf nodes, for consecutive blocks; empty if everything fits into the root.
    pub(super) leaves: Vec<Vec<u8>>,
    /// Separators between the leaves; what the root holds when there are leaves.
    pub(super) separators: Vec<Vec<u8>>,
    /// The only node, if there are no leaves.
    pub(super) root: Vec<u8>,
    /// Bytes of all leaf nodes together.
    pub(super) leaf_bytes: usize,
}

/// Builds a segment of leaf nodes of about `node_size` bytes.
pub(super) fn encode(terms: &BTreeMap<Vec<u8>, Documents>, node_size: usize) -> Encoded {
    let mut leaves: Vec<Vec<u8>> = vec![Vec::new()];
    let mut separators = Vec::new();
    let mut last: &[u8] = &[];
    for (term, documents) in terms {
        let list = encode_doclist(documents);
        let shared = last.iter().zip(term).take_while(|(a, b)| a == b).count();
        let mut entry = entry_of(term, shared, &list);
        let full = leaves
            .last()
            .is_some_and(|leaf| !leaf.is_empty() && leaf.len() + entry.len() > node_size);
        if full {
            // The shortest beginning of the term that is greater than everything before it.
            separators.push(term[..(shared + 1).min(term.len())].to_vec());
            leaves.push(Vec::new());
            entry = entry_of(term, 0, &list);
        }
        if let Some(leaf) = leaves.last_mut() {
            leaf.append(&mut entry);
        }
        last = term;
    }
    let leaf_bytes = leaves.iter().map(Vec::len).sum();
    if leaves.len() == 1 {
        return Encoded {
            root: leaves.pop().unwrap_or_default(),
            leaves: Vec::new(),
            separators,
            leaf_bytes,
        };
    }
    Encoded {
        leaves,
        separators,
        root: Vec::new(),
        leaf_bytes,
    }
}

fn entry_of(term: &[u8], shared: usize, list: &[u8]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(term.len() - shared + list.len() + 6);
    put(&mut entry, shared as u64);
    put(&mut entry, (term.len() - shared) as u64);
    entry.extend_from_slice(&term[shared..]);
    put(&mut entry, list.len() as u64);
    entry.extend_from_slice(list);
    entry
}

/// An interior node of height 1 over leaves from block `first` on.
pub(super) fn interior(first: u64, separators: &[Vec<u8>]) -> Vec<u8> {
    let mut node = Vec::new();
    put(&mut node, 1);
    put(&mut node, first);
    let mut last: &[u8] = &[];
    for (n, term) in separators.iter().enumerate() {
        let shared = last.iter().zip(term).take_while(|(a, b)| a == b).count();
        if n > 0 {
            put(&mut node, shared as u64);
        }
        let suffix = if n > 0 { &term[shared..] } else { term };
        put(&mut node, suffix.len() as u64);
        node.extend_from_slice(suffix);
        last = term;
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> BTreeMap<Vec<u8>, Documents> {
        let documents = |n: u64| {
            BTreeMap::from([
                (3, vec![(0, 0), (0, n), (2, 5)]),
                (1_000_000, Vec::new()),
                (i64::from(u32::MAX), vec![(1, 300)]),
            ])
        };
        ["a", "abba", "abbey", "queen", "quiz", "\u{1}\u{80}\u{0}x"]
            .iter()
            .zip(1..)
            .map(|(term, n)| (term.as_bytes().to_vec(), documents(n)))
            .collect()
    }

    fn read(nodes: &[Vec<u8>]) -> BTreeMap<Vec<u8>, Documents> {
        let mut found = BTreeMap::new();
        for node in nodes {
            leaf(node, &mut |term, list| {
                let mut documents = Documents::new();
                doclist(list, &mut |docid, encoded| {
                    documents.insert(docid, places(encoded).expect("places"));
                })
                .expect("doclist");
                found.insert(term.to_vec(), documents);
            })
            .expect("leaf");
        }
        found
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        let whole = encode(&terms(), 10_000);
        assert!(whole.leaves.is_empty());
        assert_eq!(read(&[whole.root]), terms());
        let many = encode(&terms(), 40);
        assert!(many.leaves.len() > 2);
        assert_eq!(many.separators.len(), many.leaves.len() - 1);
        assert_eq!(read(&many.leaves), terms());
    }

    #[test]
    fn broken_nodes_are_told() {
        let whole = encode(&terms(), 10_000).root;
        for cut in 1..whole.len() {
            // Cut between entries a node is still whole; everywhere else it has to be noticed.
            let mut seen = 0;
            let result = leaf(&whole[..cut], &mut |_, _| seen += 1);
            assert!(result.is_none() || seen > 0, "{cut}");
        }
        assert!(leaf(&[5, 1, b'x', 1, 0], &mut |_, _| ()).is_none(), "prefix of nothing");
        assert!(places(&[0x80]).is_none());
    }
}
