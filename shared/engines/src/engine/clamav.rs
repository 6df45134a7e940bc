//! ClamAV, asked over clamd's protocol (`zINSTREAM`, `zVERSION`; clamd(8), "COMMANDS").
//!
//! clamd is another process, on a Unix socket or a TCP port; nothing of ClamAV is linked. What always holds: only the answer
//! `stream: OK` is clean. No connection, no answer in time, an answer nobody knows, a content beyond clamd's
//! `StreamMaxLength`: each is this engine's `Failed`.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_core::domain::engine::{CLAMAV, EngineIdentity};
use portcullis_core::domain::verdict::Code;
use time::macros::format_description;

use super::{Engine, EngineOutcome, Session, Subject};
use crate::clock;
use crate::definitions::BUILT_AT;

/// Bytes of one chunk.
const CHUNK: usize = 128 * 1024;
/// Longest answer read.
const MAX_ANSWER: u64 = 4 * 1024;
/// Time for a connection, and for the version.
const CONNECT: Duration = Duration::from_secs(5);
/// Age at which version and date are asked for again.
const REFRESH: Duration = Duration::from_mins(1);

/// Where clamd listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Unix(PathBuf),
    Tcp(String),
}

impl FromStr for Address {
    type Err = String;

    /// `unix:/path`, `/path`, `tcp:host:port` or `host:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text)) {
            return Ok(Self::Unix(path.into()));
        }
        let host = text.strip_prefix("tcp:").unwrap_or(text);
        let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if matches!(port, Some(Ok(1..))) {
            Ok(Self::Tcp(host.into()))
        } else {
            Err(format!("`{text}` is no address of clamd (`/path`, or `host:port`)"))
        }
    }
}

trait Stream: Read + Write {
    fn limit(&self, time: Duration) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn limit(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time)).and_then(|()| self.set_write_timeout(Some(time)))
    }
}

impl Stream for TcpStream {
    fn limit(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time)).and_then(|()| self.set_write_timeout(Some(time)))
    }
}

impl Address {
    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path)?)),
            Self::Tcp(host) => {
                let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
                for address in host.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CONNECT) {
                        Ok(stream) => return Ok(Box::new(stream)),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

/// What clamd said of itself.
#[derive(Clone)]
struct Said {
    version: String,
    def_time: String,
    at: Instant,
}

/// The engine.
pub(crate) struct ClamAv {
    /// Or what is wrong with it.
    address: Result<Address, String>,
    said: Mutex<Option<Said>>,
    issues: Vec<String>,
}

impl ClamAv {
    /// The engine behind an address. It need not be there yet: clamd takes its time to load a database.
    pub(crate) fn new(address: &str) -> Self {
        let mut engine = Self { address: address.parse(), said: Mutex::default(), issues: Vec::new() };
        if let Err(why) = engine.refresh() {
            engine.issues.push(format!("clamd did not answer: {why}."));
        }
        engine
    }

    fn refresh(&self) -> Result<Said, String> {
        if let Some(said) = self.said().filter(|said| said.at.elapsed() < REFRESH) {
            return Ok(said);
        }
        let deadline = Instant::now() + CONNECT;
        let mut stream = self.connect(deadline)?;
        stream.write_all(b"zVERSION\0").map_err(|error| shown(&error))?;
        let said = parse_version(&answer(stream.as_mut(), deadline).map_err(|error| shown(&error))?);
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(said.clone());
        Ok(said)
    }

    fn said(&self) -> Option<Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn connect(&self, deadline: Instant) -> Result<Box<dyn Stream>, String> {
        let address = self.address.as_ref().map_err(Clone::clone)?;
        let stream = address.connect().map_err(|error| format!("no connection: {error}"))?;
        stream.limit(time_left(deadline).map_err(|error| shown(&error))?).map_err(|error| shown(&error))?;
        Ok(stream)
    }

    fn ask(&self, content: &[u8], deadline: Instant) -> Result<String, String> {
        let mut stream = self.connect(deadline)?;
        let sent = send(stream.as_mut(), content, deadline);
        // clamd answers and closes when the content grows beyond its limit: what it said explains why sending failed.
        match (answer(stream.as_mut(), deadline), sent) {
            (Ok(text), _) if !text.is_empty() => Ok(text),
            (_, Err(error)) | (Err(error), Ok(())) => Err(shown(&error)),
            (Ok(_), Ok(())) => Err("clamd closed the connection without an answer".into()),
        }
    }
}

/// What the clamd behind the address says of itself and its database, as one text; `None` when it does not answer.
///
/// Takes up to 10 s. Two answers that differ mean definitions that differ.
pub fn clamd_version(address: &str) -> Option<String> {
    let said = ClamAv::new(address).said()?;
    Some(format!("{} {}", said.version, said.def_time))
}

fn shown(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "clamd did not answer in time".into(),
        _ => format!("clamd: {error}"),
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = clock::left(deadline);
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn send(stream: &mut dyn Stream, content: &[u8], deadline: Instant) -> io::Result<()> {
    stream.write_all(b"zINSTREAM\0")?;
    for chunk in content.chunks(CHUNK) {
        stream.limit(time_left(deadline)?)?;
        stream.write_all(&u32::try_from(chunk.len()).unwrap_or(0).to_be_bytes())?;
        stream.write_all(chunk)?;
    }
    stream.write_all(&0_u32.to_be_bytes())?;
    stream.flush()
}

/// Up to the zero byte, or the end.
fn answer(stream: &mut dyn Stream, deadline: Instant) -> io::Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while (text.len() as u64) < MAX_ANSWER {
        stream.limit(time_left(deadline)?)?;
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte == [0] => break,
            Ok(_) => text.extend(byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What was said before the connection broke counts.
            Err(_) if !text.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// `ClamAV 1.4.6/27821/Sun Nov 22 08:00:00 2026`; without a dated database only the first part.
fn parse_version(text: &str) -> Said {
    let mut parts = text.splitn(3, '/');
    let (program, database, date) = (parts.next().unwrap_or_default(), parts.next(), parts.next().unwrap_or_default());
    let format = format_description!("[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]");
    let at = time::PrimitiveDateTime::parse(date.trim(), format).ok().map(|at| clock::iso(at.assume_utc().into()));
    let version = program.trim_start_matches("ClamAV").trim();
    Said {
        version: database.map_or_else(|| version.to_owned(), |database| format!("{version}/{database}")),
        def_time: at.unwrap_or_else(|| BUILT_AT.into()),
        at: Instant::now(),
    }
}

impl Engine for ClamAv {
    fn identity(&self) -> EngineIdentity {
        CLAMAV
    }
    fn version(&self) -> String {
        self.said().map_or_else(|| "unknown".into(), |said| said.version)
    }
    fn def_time(&self) -> Cow<'_, str> {
        self.said().map_or(BUILT_AT.into(), |said| said.def_time.into())
    }
    fn issues(&self) -> &[String] {
        &self.issues
    }
    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(self)
    }
}

impl Session for &ClamAv {
    fn scan(&mut self, subject: &Subject<'_>, budget: Duration) -> EngineOutcome {
        let deadline = Instant::now() + budget;
        // The row's date is that of the database that judged; a clamd that does not say it may still judge.
        let _ = self.refresh();
        match self.ask(subject.content, deadline) {
            Ok(text) => judge(&text),
            Err(why) => EngineOutcome::failed(why),
        }
    }
}

fn judge(answer: &str) -> EngineOutcome {
    let said = answer.strip_prefix("stream: ").unwrap_or(answer);
    if said == "OK" && answer != said {
        return EngineOutcome::clean();
    }
    let Some(name) = said.strip_suffix(" FOUND") else {
        let too_large = said.contains("size limit exceeded");
        return EngineOutcome::failed(if too_large {
            "the content is larger than clamd takes (StreamMaxLength)".to_owned()
        } else {
            format!("clamd answered `{}`", said.chars().filter(|c| !c.is_control()).take(200).collect::<String>())
        });
    };
    // clamd's own naming: potentially unwanted programs and heuristics are not identified threats.
    let code = if name.starts_with("PUA.") {
        Code::PotentiallyUnwanted
    } else if name.starts_with("Heuristics.") {
        Code::Suspicious
    } else {
        Code::Infected
    };
    EngineOutcome::found(code, name)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use portcullis_core::domain::report::{Digests, FileType};

    use super::*;

    /// A clamd that answers every stream alike; `None` closes without a word.
    struct Fake {
        limit: usize,
        answer: Option<&'static str>,
        delay: Duration,
    }

    impl Fake {
        fn start(self) -> String {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let _ = self.serve(stream.unwrap());
                }
            });
            address
        }

        fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
            let mut command = Vec::new();
            let mut byte = [0];
            while stream.read(&mut byte)? == 1 && byte != [0] {
                command.extend(byte);
            }
            if command == b"zVERSION" {
                return stream.write_all(b"ClamAV 1.4.6/27821/Sun Nov 22 08:01:02 2026\0");
            }
            assert_eq!(command, b"zINSTREAM");
            let mut total = 0;
            loop {
                let mut size = [0; 4];
                stream.read_exact(&mut size)?;
                let size = u32::from_be_bytes(size) as usize;
                if size == 0 {
                    break;
                }
                total += size;
                if total > self.limit {
                    return stream.write_all(b"INSTREAM size limit exceeded. ERROR\0");
                }
                stream.read_exact(&mut vec![0; size])?;
            }
            thread::sleep(self.delay);
            self.answer.map_or(Ok(()), |answer| stream.write_all(answer.as_bytes()))
        }
    }

    fn scan(address: &str, content: &[u8], budget: Duration) -> EngineOutcome {
        let engine = ClamAv::new(address);
        let (digests, file_type) = (Digests::default(), FileType::default());
        let subject = Subject { name: "x", content, digests: &digests, file_type: &file_type };
        engine.session().scan(&subject, budget)
    }

    fn answered(answer: Option<&'static str>) -> EngineOutcome {
        let fake = Fake { limit: 1 << 20, answer, delay: Duration::ZERO };
        scan(&fake.start(), &vec![7; 300_000], Duration::from_secs(5))
    }

    #[test]
    fn answers() {
        assert_eq!(answered(Some("stream: OK\0")), EngineOutcome::clean());
        assert_eq!(answered(Some("stream: Win.Test.EICAR_HDB-1 FOUND\0")), EngineOutcome::found(Code::Infected, "Win.Test.EICAR_HDB-1"));
        assert_eq!(answered(Some("stream: PUA.Win.Tool FOUND\0")).code, Code::PotentiallyUnwanted);
        assert_eq!(answered(Some("stream: Heuristics.Encrypted.Zip FOUND\0")).code, Code::Suspicious);
        for odd in ["OK\0", "stream: \0", "stream: Can't allocate memory ERROR\0", "UNKNOWN COMMAND\0", "stream: OKAY\0"] {
            assert_eq!(answered(Some(odd)).code, Code::Failed, "{odd}");
        }
        assert_eq!(answered(None).code, Code::Failed, "closed without an answer");
    }

    #[test]
    fn a_large_content_a_slow_clamd_and_none_at_all() {
        let large = Fake { limit: 1_000_000, answer: Some("stream: OK\0"), delay: Duration::ZERO }.start();
        let found = scan(&large, &vec![0; 8 << 20], Duration::from_secs(10));
        assert_eq!(found.code, Code::Failed, "{found:?}");
        assert_eq!(scan(&large, b"x", Duration::from_secs(5)), EngineOutcome::clean());
        let slow = Fake { limit: 10, answer: Some("stream: OK\0"), delay: Duration::from_secs(30) }.start();
        let start = Instant::now();
        assert!(scan(&slow, b"x", Duration::from_millis(300)).threat.contains("in time"));
        assert!(start.elapsed() < Duration::from_secs(5));
        for nowhere in ["127.0.0.1:9", "/nonexistent/clamd.sock", "nonsense"] {
            let engine = ClamAv::new(nowhere);
            assert_eq!(engine.issues().len(), 1, "{nowhere}");
            assert_eq!(scan(nowhere, b"x", Duration::from_secs(1)).code, Code::Failed, "{nowhere}");
        }
    }

    #[test]
    fn version_and_date_come_from_clamd() {
        let engine = ClamAv::new(&Fake { limit: 10, answer: None, delay: Duration::ZERO }.start());
        assert_eq!((engine.version().as_str(), &*engine.def_time()), ("1.4.6/27821", "2026-11-22T08:01:02.000Z"));
        assert!(engine.issues().is_empty());
        let fake = Fake { limit: 10, answer: None, delay: Duration::ZERO }.start();
        assert_eq!(clamd_version(&fake).as_deref(), Some("1.4.6/27821 2026-11-22T08:01:02.000Z"));
        assert_eq!(clamd_version("/nonexistent/clamd.sock"), None);
        let bare = parse_version("ClamAV 1.4.6");
        assert_eq!((bare.version.as_str(), bare.def_time.as_str()), ("1.4.6", BUILT_AT));
        assert_eq!(parse_version("ClamAV 1.4.6/1/Sun Nov  1 08:01:02 2026").def_time, "2026-11-01T08:01:02.000Z");
    }

    #[test]
    fn addresses() {
        assert_eq!("unix:/run/clamd".parse(), Ok(Address::Unix("/run/clamd".into())));
        assert_eq!("tcp:clamd:3310".parse(), Ok(Address::Tcp("clamd:3310".into())));
        assert!("clamd".parse::<Address>().is_err() && "h:0".parse::<Address>().is_err() && "".parse::<Address>().is_err());
    }
}
