//! Items of the library as the API shows them: read from the rows, written as elements in Plex's attribute order.
//!
//! Read-only. Rows of older libraries (dates as text, extra_data as a query string, missing parents) are shown as well as
//! they can be.

pub(crate) mod element;
pub(crate) mod media;
pub(crate) mod row;
pub(crate) mod tree;

/// The words and elements of a metadata type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The number in metadata_type.
    pub(crate) number: i64,
    /// The word of the API.
    pub(crate) word: &'static str,
    /// The XML element.
    pub(crate) element: &'static str,
    /// Whether it holds other items rather than media.
    pub(crate) is_parent: bool,
}

const KINDS: &[Kind] = &[
    Kind {
        number: 1,
        word: "movie",
        element: "Video",
        is_parent: false,
    },
    Kind {
        number: 2,
        word: "show",
        element: "Directory",
        is_parent: true,
    },
    Kind {
        number: 3,
        word: "season",
        element: "Directory",
        is_parent: true,
    },
    Kind {
        number: 4,
        word: "episode",
        element: "Video",
        is_parent: false,
    },
    Kind {
        number: 8,
        word: "artist",
        element: "Directory",
        is_parent: true,
    },
    Kind {
        number: 9,
        word: "album",
        element: "Directory",
        is_parent: true,
    },
    Kind {
        number: 10,
        word: "track",
        element: "Track",
        is_parent: false,
    },
    Kind {
        number: 12,
        word: "clip",
        element: "Video",
        is_parent: false,
    },
    Kind {
        number: 13,
        word: "photo",
        element: "Photo",
        is_parent: false,
    },
    Kind {
        number: 14,
        word: "photoalbum",
        element: "Directory",
        is_parent: true,
    },
    Kind {
        number: 15,
        word: "playlist",
        element: "Playlist",
        is_parent: true,
    },
    Kind {
        number: 18,
        word: "collection",
        element: "Directory",
        is_parent: true,
    },
];

/// The kind of that number; what is unknown is shown as a clip.
pub(crate) fn kind(number: i64) -> Kind {
    KINDS
        .iter()
        .copied()
        .find(|kind| kind.number == number)
        .unwrap_or(Kind {
            number,
            word: "clip",
            element: "Video",
            is_parent: false,
        })
}

/// The number of a kind given by number or word, as clients give both.
pub(crate) fn kind_number(text: &str) -> Option<i64> {
    let named = || KINDS.iter().find(|kind| kind.word == text).map(|kind| kind.number);
    text.parse().ok().or_else(named)
}

/// The word of a section's type: 1 movie, 2 show, 8 artist, 13 photo.
pub(crate) fn section_word(section_type: i64) -> &'static str {
    match section_type {
        2 => "show",
        8 => "artist",
        13 => "photo",
        _ => "movie",
    }
}

/// The kinds of a section's levels, from the top.
pub(crate) fn levels(section_type: i64) -> &'static [i64] {
    match section_type {
        2 => &[2, 3, 4],
        8 => &[8, 9, 10],
        13 => &[14, 13],
        _ => &[1],
    }
}
