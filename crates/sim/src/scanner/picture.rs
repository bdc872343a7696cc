//! Pictures in bundles: what is embedded in a file, or a small one made for the purpose.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

use super::files::hex;

/// Edge of a made picture, in pixels.
const EDGE: usize = 32;

/// Puts the poster of an item into its bundle and returns what `user_thumb_url` says about it.
pub(super) fn poster(bundle: &Path, agent: &str, content: &[u8]) -> io::Result<String> {
    let name = format!("{agent}_{}", hex(&Sha1::digest(content)));
    write_once(&bundle.join("Contents/_combined/posters").join(&name), content)?;
    Ok(format!("metadata://posters/{name}"))
}

/// Puts the thumbnail of a file into its bundle.
pub(super) fn thumbnail(bundle: &Path, content: &[u8]) -> io::Result<()> {
    write_once(&bundle.join("Contents/Thumbnails/thumb1.jpg"), content)
}

/// A file that is there is right: its name or its folder is a hash.
fn write_once(path: &Path, content: &[u8]) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent)?;
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(content)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A PNG whose colours follow from `name`: the same name has the same picture everywhere.
pub(crate) fn made_for(name: &str) -> io::Result<Vec<u8>> {
    let colours = Sha1::digest(name.as_bytes());
    let mut rows = Vec::with_capacity(EDGE * (EDGE * 3 + 1));
    for y in 0..EDGE {
        // Each row begins with its filter: none.
        rows.push(0);
        for x in 0..EDGE {
            let corner = usize::from(x * 2 >= EDGE) + 2 * usize::from(y * 2 >= EDGE);
            rows.extend_from_slice(&colours[corner * 3..corner * 3 + 3]);
        }
    }
    let mut compressed = ZlibEncoder::new(Vec::new(), Compression::default());
    compressed.write_all(&rows)?;
    let edge = u32::try_from(EDGE).unwrap_or_default().to_be_bytes();
    let mut header = [edge, edge].concat();
    // 8 bits, RGB, the only compression and filter there are, not interlaced.
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut png = Vec::from(*b"\x89PNG\r\n\x1a\n");
    chunk(&mut png, *b"IHDR", &header);
    chunk(&mut png, *b"IDAT", &compressed.finish()?);
    chunk(&mut png, *b"IEND", &[]);
    Ok(png)
}

fn chunk(png: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    png.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    let mut checksum = flate2::Crc::new();
    checksum.update(&name);
    checksum.update(content);
    png.extend_from_slice(&name);
    png.extend_from_slice(content);
    png.extend_from_slice(&checksum.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_has_the_same_picture() {
        let one = made_for("one").unwrap();
        assert!(one.starts_with(b"\x89PNG"));
        assert_eq!(one, made_for("one").unwrap());
        assert_ne!(one, made_for("two").unwrap());
    }

    #[test]
    fn posters_have_their_hash_in_their_name() {
        let dir = tempfile::tempdir().unwrap();
        let url = poster(dir.path(), "tv.plex.agents.music", b"abc").unwrap();
        assert_eq!(
            url,
            "metadata://posters/tv.plex.agents.music_a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        let file = dir
            .path()
            .join("Contents/_combined")
            .join(url.strip_prefix("metadata://").unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"abc");
        assert_eq!(poster(dir.path(), "tv.plex.agents.music", b"abc").unwrap(), url);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }
}
