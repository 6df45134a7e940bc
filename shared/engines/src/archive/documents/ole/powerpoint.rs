//! Objects in PowerPoint documents: compound files (embedded documents, VBA projects) that are compressed within a
//! stream ([MS-PPT] §2.10.34, `ExOleObjStg` and its siblings).

use flate2::read::ZlibDecoder;
use memchr::memmem;

use crate::archive::documents::{bytes::Bytes, give, ole::MAGIC};
use crate::archive::sink::{Entry, Sink, Stop};

/// `recType` of the three kinds of objects.
const TYPE: [u8; 2] = 0x1011_u16.to_le_bytes();

/// Hands over all objects. They are looked for by their headers and not by walking the records, which a crafted file could break.
pub(super) fn objects(stream: &[u8], sink: &mut dyn Sink) -> Result<(), Stop> {
    let mut number = 0;
    for at in memmem::find_iter(stream, &TYPE) {
        let header = || {
            let mut bytes = Bytes::new(stream.get(at.checked_sub(2)?..)?);
            let instance = bytes.u16()?;
            bytes.u16()?;
            let length = bytes.length()?;
            Some((instance, bytes.take_most(length)))
        };
        match header() {
            // The size, then a zlib stream.
            Some((0x0010, [_, _, _, _, data @ ..])) if data.first() == Some(&0x78) => {
                number += 1;
                sink.count()?;
                sink.take_from(Entry::new(format!("object-{number}.ole"), 0), &mut ZlibDecoder::new(data))?;
            }
            Some((0x0000, data)) if data.starts_with(MAGIC) => {
                number += 1;
                give(sink, format!("object-{number}.ole"), data)?;
            }
            _ => {}
        }
    }
    Ok(())
}
