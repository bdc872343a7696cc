//! Keys of a music bucket as people fill them: a folder per artist and album, covers between the tracks.

use crate::fixture::names;

/// `artists` × `albums` × `tracks` keys below `folder`, and a cover and a list of the tracks in each album.
pub fn music(folder: &str, artists: usize, albums: usize, tracks: usize) -> impl Iterator<Item = (String, u64)> {
    let folder = folder.trim_matches('/').to_owned();
    (0..artists * albums).flat_map(move |album| {
        let artist = names::file_name(&names::nth(album / albums.max(1), 1));
        let title = names::file_name(&names::nth(album, 2));
        let place = format!("{folder}/{artist}/{title} ({})", 1960 + album % 60);
        let others = [
            (format!("{place}/cover.jpg"), 180_000),
            (format!("{place}/album.m3u"), 900),
        ];
        (0..tracks)
            .map(move |track| {
                let size = 20_000_000 + (album * 7919 + track * 104_729) as u64 % 30_000_000;
                (format!("{place}/{:02} - Title {track}.flac", track + 1), size)
            })
            .chain(others)
    })
}
