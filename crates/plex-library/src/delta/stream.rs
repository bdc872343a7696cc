//! The inside of a delta's object: runs of pages, compressed as one stream.
//!
//! A run is `gap`, `length` (unsigned LEB128 numbers) and then `length` pages; `gap` counts the unchanged pages since the
//! end of the run before. A run of length 0 ends the stream, so that one that was cut off is noticed.

use std::io::{self, Read, Write};

/// Pages gathered into one run at most; bounds the memory, and costs two bytes per so many pages.
const LONGEST_RUN: usize = 64;

/// Writes runs.
pub(super) struct Writer<W: Write> {
    out: W,
    /// First page behind the last run that was written.
    next: u32,
    start: u32,
    run: Vec<u8>,
    page_size: usize,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W, page_size: u32) -> Self {
        let page_size = page_size as usize;
        Self {
            out,
            next: 1,
            start: 1,
            run: Vec::with_capacity(LONGEST_RUN * page_size),
            page_size,
        }
    }

    /// Adds a page; numbers have to rise.
    pub(super) fn add(&mut self, number: u32, page: &[u8]) -> io::Result<()> {
        let length = self.run.len() / self.page_size;
        if length == LONGEST_RUN || number as usize != self.start as usize + length {
            self.flush_run()?;
            self.start = number;
        }
        self.run.extend_from_slice(page);
        Ok(())
    }

    fn flush_run(&mut self) -> io::Result<()> {
        let length = self.run.len() / self.page_size;
        if length == 0 {
            return Ok(());
        }
        write_number(&mut self.out, self.start - self.next)?;
        // At most LONGEST_RUN.
        write_number(&mut self.out, length as u32)?;
        self.out.write_all(&self.run)?;
        self.next = self.start + length as u32;
        self.start = self.next;
        self.run.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.flush_run()?;
        write_number(&mut self.out, 0)?;
        write_number(&mut self.out, 0)?;
        Ok(self.out)
    }
}

/// Reads runs, one page at a time.
pub(super) struct Reader<R: Read> {
    input: R,
    /// Number of the next page, while `left` is not 0.
    number: u32,
    left: u32,
    is_at_end: bool,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R) -> io::Result<Self> {
        let mut reader = Self {
            input,
            number: 1,
            left: 0,
            is_at_end: false,
        };
        reader.next_run()?;
        Ok(reader)
    }

    /// Number of the page that comes next; `None` behind the last.
    pub(super) fn peek(&self) -> Option<u32> {
        (!self.is_at_end).then_some(self.number)
    }

    /// Reads the page of which [`Self::peek`] told the number.
    pub(super) fn read(&mut self, page: &mut [u8]) -> io::Result<()> {
        self.input.read_exact(page)?;
        self.number = self.number.checked_add(1).ok_or_else(too_many)?;
        self.left -= 1;
        if self.left == 0 { self.next_run() } else { Ok(()) }
    }

    fn next_run(&mut self) -> io::Result<()> {
        let gap = read_number(&mut self.input)?;
        self.number = self.number.checked_add(gap).ok_or_else(too_many)?;
        self.left = read_number(&mut self.input)?;
        self.is_at_end = self.left == 0;
        Ok(())
    }
}

fn too_many() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "more pages than a database can have")
}

fn write_number(out: &mut impl Write, mut number: u32) -> io::Result<()> {
    let mut bytes = [0; 5];
    let mut used = 0;
    loop {
        bytes[used] = (number & 0x7f) as u8 | if number > 0x7f { 0x80 } else { 0 };
        used += 1;
        number >>= 7;
        if number == 0 {
            return out.write_all(&bytes[..used]);
        }
    }
}

fn read_number(input: &mut impl Read) -> io::Result<u32> {
    let mut number = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        number |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return u32::try_from(number).map_err(|_| too_many());
        }
    }
    Err(too_many())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(bytes: &[u8], page_size: usize) -> io::Result<Vec<(u32, Vec<u8>)>> {
        let mut reader = Reader::new(bytes)?;
        let mut pages = Vec::new();
        while let Some(number) = reader.peek() {
            let mut page = vec![0; page_size];
            reader.read(&mut page)?;
            pages.push((number, page));
        }
        Ok(pages)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(numbers in prop::collection::btree_set(1..300_000_u32, 0..400)) {
            let page = |number: u32| number.to_le_bytes().repeat(2);
            let mut writer = Writer::new(Vec::new(), 8);
            for &number in &numbers {
                writer.add(number, &page(number)).unwrap();
            }
            let bytes = writer.finish().unwrap();
            let expected: Vec<_> = numbers.iter().map(|&number| (number, page(number))).collect();
            prop_assert_eq!(read_all(&bytes, 8).unwrap(), expected);
            // Cut anywhere, it is an error and not a shorter stream.
            for end in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
                prop_assert!(read_all(&bytes[..end], 8).is_err());
            }
        }

        #[test]
        fn garbage_is_an_error_or_pages_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            _ = read_all(&bytes, 8);
        }
    }
}
