//! RAR 1.5 to 7.
//!
//! The library writes into destinations that it owns, so it runs on a thread of its own and sends what comes out;
//! the sink stays here. What always holds: checksums are compared (the library does), dictionaries are bounded, a
//! member that continues in another volume is blocked with that reason, never shown as whole.

use std::collections::BTreeSet;
use std::io::{self, Cursor, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use portcullis_core::domain::report::FileType;
use portcullis_core::domain::verdict::Code;
use rars::{Archive, ArchiveReadOptions, ArchiveReader, Error, ErrorKind, ExtractionDecision, ExtractionErrorAction};

use super::sink::CHUNK;
use super::{Entry, Extractor, Format, ReadFault, Sink, Stop, rest};

mod layout;

use self::layout::End;
pub(super) use self::layout::begins;

/// Largest dictionary, in bytes.
const DICTIONARY: u64 = 128 * 1024 * 1024;
/// Most memory of a decoder and its buffers, in bytes.
const WORKSPACE: u64 = 160 * 1024 * 1024;
/// Most bytes of headers.
const HEADERS: u64 = 32 * 1024 * 1024;
/// log₂ of the most rounds for a key: WinRAR writes 15, the format permits 24, which is seconds for every password.
const KEY_ROUNDS_LOG: u8 = 20;
/// A larger archive is given to the library as a file.
const IN_MEMORY: usize = 1024 * 1024;
/// Messages that wait; each has at most one chunk.
const QUEUE: usize = 16;

/// What is opened.
pub(super) const FORMATS: &[Format] = &[Format {
    name: "RAR 1.5 to 7",
    reads: "solid; entries and headers encrypted with a password; dictionaries up to 128 MiB; a volume's own files, not those that continue in another",
    extractor: &Rar,
}];

pub(super) struct Rar;

impl Extractor for Rar {
    fn recognises(&self, content: &[u8], _: &FileType) -> bool {
        content.starts_with(b"Rar!\x1a\x07")
    }

    fn covers(&self, _: &[u8], file_type: &FileType) -> bool {
        file_type.mime == "application/vnd.rar"
    }

    fn extract(&self, content: &[u8], passwords: &[String], sink: &mut dyn Sink) -> Result<(), Stop> {
        if layout::key_rounds_log(content).is_some_and(|log| log > KEY_ROUNDS_LOG) {
            return Err(Stop::Closed(Code::EncryptedArchive, "to make a key of a password takes more time than is permitted".into()));
        }
        // The library takes bytes behind old archives for damaged blocks, so it is not shown any.
        let found = layout::end(content);
        let (mut end, mut is_cut) = match found {
            End::Marked(end) => (end, false),
            End::Unmarked(end) => (end, layout::is_5(content) || !rest::is_padding(content.get(end..).unwrap_or_default())),
            End::Cut => (content.len(), true),
            End::Locked => (content.len(), false),
        };
        let archive = open(content.get(..end).unwrap_or(content), passwords, sink)?;
        if let End::Locked = found {
            let marked = layout::locked_end(&archive).filter(|end| *end <= content.len());
            (end, is_cut) = (marked.unwrap_or(content.len()), marked.is_none());
        }
        let mut members: Vec<Member> = archive.members().map(|member| Member::new(&member)).collect();
        sink.announce(members.len() as u64)?;
        for member in &members {
            sink.count()?;
            if let Some(why) = member.refused {
                sink.blocked(member.entry(), Code::Failed, why.into());
            }
        }
        let is_solid = archive.members().any(|member| member.is_solid()) || is_solid(&archive);
        let has_encrypted = members.iter().any(|member| member.pending && member.encrypted);
        let mut tries: Vec<Option<&str>> = passwords.iter().map(|password| Some(password.as_str())).collect();
        if !has_encrypted {
            tries.clear();
        }
        if tries.is_empty() || !is_solid {
            tries.insert(0, None);
        }
        let mut why = None;
        for password in tries {
            if !members.iter().any(|member| member.pending && (password.is_some() || !member.encrypted)) {
                continue;
            }
            sink.check_time()?;
            why = pass(&archive, is_solid, password, &mut members, sink)?.or(why);
        }
        for member in members.iter().filter(|member| member.pending) {
            let damaged = || why.clone().unwrap_or_else(|| "the entry could not be read".into());
            match (member.encrypted, passwords.is_empty()) {
                (true, true) => sink.blocked(member.entry(), Code::EncryptedArchive, "a password is needed".into()),
                (true, false) => sink.blocked(member.entry(), Code::EncryptedArchive, "no password fits, or the entry is damaged".into()),
                (false, _) => sink.blocked(member.entry(), Code::Failed, damaged()),
            }
        }
        rest::behind(content, end, sink)?;
        if is_cut {
            return Err(Stop::corrupt("a header is damaged, or the archive is cut off"));
        }
        // Links and directories only, and yet something went wrong: it has to be told.
        match why {
            Some(why) if !has_encrypted => Err(Stop::Corrupt(why)),
            _ => Ok(()),
        }
    }
}

fn is_solid(archive: &Archive) -> bool {
    match archive {
        Archive::Rar15To40(archive) => archive.main.is_solid(),
        Archive::Rar50Plus(archive) => archive.main.is_solid(),
        _ => true,
    }
}

fn options(password: Option<&str>) -> ArchiveReadOptions<'_> {
    let mut options = ArchiveReadOptions::with_optional_password(password.map(str::as_bytes))
        .with_max_header_bytes(HEADERS)
        .with_max_header_count(2_000_000)
        .with_rar50_dictionary_size_limit(DICTIONARY)
        .with_max_reader_workspace_bytes(WORKSPACE);
    options.rar50_buffered_decode_limit = Some(1024 * 1024);
    options
}

fn open(content: &[u8], passwords: &[String], sink: &mut dyn Sink) -> Result<Archive, Stop> {
    for password in std::iter::once(None).chain(passwords.iter().map(|password| Some(password.as_str()))) {
        sink.check_time()?;
        let read = if content.len() <= IN_MEMORY {
            ArchiveReader::read_reader_with_options(Cursor::new(content.to_vec()), options(password))
        } else {
            ArchiveReader::read_reader_with_options(sink.spill(content)?, options(password))
        };
        match read {
            Ok(archive) => return Ok(archive),
            Err(error) if password.is_none() && !matches!(error.kind(), ErrorKind::PasswordRequired | ErrorKind::BadPassword) => {
                return Err(Stop::Corrupt(told(&error)));
            }
            Err(_) => {}
        }
    }
    let why = if passwords.is_empty() { "a password is needed" } else { "none of the passwords fits" };
    Err(Stop::Closed(Code::EncryptedArchive, why.into()))
}

/// A member, and whether its content is still to be had.
struct Member {
    name: String,
    size: u64,
    note: Option<&'static str>,
    encrypted: bool,
    /// Why nobody here can have its content, though it has some.
    refused: Option<&'static str>,
    pending: bool,
}

impl Member {
    fn new(member: &rars::ArchiveMember) -> Self {
        let meta = &member.meta;
        let split = meta.is_split_before || meta.is_split_after;
        let is_link = meta.is_redirection;
        Self {
            name: String::from_utf8_lossy(&meta.name).replace('\\', "/"),
            size: meta.unpacked_size,
            note: is_link.then_some("link, not followed"),
            encrypted: meta.is_encrypted,
            refused: if split {
                Some("the file continues in another volume of the archive")
            } else if (is_link || meta.is_directory) && meta.packed_size > 0 {
                // The library gives nothing of these; other programs do.
                Some("a link or directory has data, which can not be looked at")
            } else {
                None
            },
            pending: !split && !meta.is_directory && !is_link,
        }
    }

    fn entry(&self) -> Entry {
        Entry::new(self.name.as_str(), self.size).with_note(self.note)
    }
}

enum Event {
    /// The member of this number follows.
    Begin(usize),
    Data(Vec<u8>),
    /// What came of the member is not to be believed.
    Fault(String),
    /// Nothing more follows.
    End(Option<String>),
}

/// One run over all members with one password. Gives what went wrong.
fn pass(archive: &Archive, is_solid: bool, password: Option<&str>, members: &mut [Member], sink: &mut dyn Sink) -> Result<Option<String>, Stop> {
    let wanted: BTreeSet<usize> = members
        .iter()
        .enumerate()
        .filter(|(_, member)| member.pending && (password.is_some() || !member.encrypted))
        .map(|(index, _)| index)
        .collect();
    std::thread::scope(|scope| {
        let (to, from) = sync_channel(QUEUE);
        let wanted = &wanted;
        let worker = std::thread::Builder::new().name("rar".into()).stack_size(8 * 1024 * 1024);
        let spawned = worker.spawn_scoped(scope, move || {
            let end = produce(archive, is_solid, password, wanted, &to);
            let _ = to.send(Event::End(end.err().map(|error| told(&error))));
        });
        if spawned.is_err() {
            return Err(Stop::corrupt("the decoder could not be started"));
        }
        let mut events = Events { from, next: None };
        let mut why = None;
        loop {
            match events.next() {
                Event::Begin(index) => {
                    if let Some(member) = members.get_mut(index) {
                        take(member, &mut events, sink, &mut why)?;
                    }
                }
                Event::Data(_) => {}
                Event::Fault(fault) => why = Some(fault),
                Event::End(fault) => return Ok(fault.or(why)),
            }
        }
    })
}

fn take(member: &mut Member, events: &mut Events, sink: &mut dyn Sink, why: &mut Option<String>) -> Result<(), Stop> {
    if !member.encrypted {
        member.pending = false;
        sink.take_from(member.entry(), events)?;
        return Ok(());
    }
    match sink.read(member.size, events) {
        Ok(content) => {
            member.pending = false;
            sink.child(member.entry(), content)
        }
        Err(ReadFault::Stop(stop)) => Err(stop),
        Err(ReadFault::Broken(fault)) => {
            *why = Some(fault);
            Ok(())
        }
    }
}

/// On the library's thread: sends the wanted members.
fn produce(archive: &Archive, is_solid: bool, password: Option<&str>, wanted: &BTreeSet<usize>, to: &SyncSender<Event>) -> rars::Result<()> {
    let mut index = 0;
    let gone = || Error::from(io::Error::other("nobody takes more"));
    let decide = |member: &rars::ArchiveMember| {
        let this = index;
        index += 1;
        if wanted.contains(&this) {
            to.send(Event::Begin(this)).map_err(|_| gone())?;
            return Ok(ExtractionDecision::Extract(Box::new(Sender(to.clone()))));
        }
        let skips = !is_solid || member.meta.is_directory || member.meta.is_redirection;
        Ok(if skips { ExtractionDecision::Skip } else { ExtractionDecision::Extract(Box::new(io::sink())) })
    };
    let on_error = |_: &rars::ArchiveMember, error: &Error| {
        to.send(Event::Fault(told(error))).map_err(|_| gone())?;
        Ok(ExtractionErrorAction::Continue)
    };
    archive.extract_with_control_and_errors(options(password), decide, on_error).map(|_| ())
}

struct Sender(SyncSender<Event>);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = bytes.get(..bytes.len().min(CHUNK)).unwrap_or_default();
        self.0.send(Event::Data(chunk.to_vec())).map_err(|_| io::Error::other("nobody takes more"))?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What comes from the library's thread; read as the content of one member.
struct Events {
    from: Receiver<Event>,
    next: Option<Event>,
}

impl Events {
    fn next(&mut self) -> Event {
        self.next.take().or_else(|| self.from.recv().ok()).unwrap_or_else(|| Event::End(Some("the decoder panicked".into())))
    }
}

impl Read for Events {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.next() {
            Event::Data(mut bytes) => {
                let count = bytes.len().min(buffer.len());
                let rest = bytes.split_off(count);
                buffer.get_mut(..count).unwrap_or_default().copy_from_slice(&bytes);
                if !rest.is_empty() {
                    self.next = Some(Event::Data(rest));
                }
                Ok(count)
            }
            Event::Fault(why) => Err(io::Error::other(why)),
            Event::End(Some(why)) => {
                self.next = Some(Event::End(Some(why.clone())));
                Err(io::Error::other(why))
            }
            other => {
                self.next = Some(other);
                Ok(0)
            }
        }
    }
}

fn told(error: &Error) -> String {
    match error.kind() {
        ErrorKind::ChecksumMismatch => "a checksum is wrong".into(),
        ErrorKind::ResourceLimit => format!("the archive needs more than is permitted: {error}"),
        _ => format!("the archive can not be read: {error}"),
    }
}
