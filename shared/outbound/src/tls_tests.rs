//! TLS against real servers on loopback: who proves to be the host that was asked for is spoken to, nobody else is.
//!
//! The tests' own authority takes the place of the system's roots through a constructor that only this crate sees; there
//! is no switch that turns checking off. A server counts the bytes that came through TLS: where the certificate does not
//! hold, not one may come.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

use crate::client::system_roots;
use crate::{Client, Error, Limits, Policy, Resolve, Resolving};

const HOST: &str = "hooks.example.test";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Of a server that is `HOST`, valid now.
fn params() -> CertificateParams {
    let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// What a server shows, its own certificate first, and the key to that.
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

fn signed(params: &CertificateParams, by: &Issuer<'_, KeyPair>) -> Shown {
    let key = KeyPair::generate().unwrap();
    Shown { chain: vec![params.signed_by(&key, by).unwrap().der().clone()], key }
}

/// A server that answers each request; it lives as long as the test.
struct Server {
    addr: SocketAddr,
    received: Arc<AtomicUsize>,
}

impl Server {
    fn showing(shown: &Shown, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap().with_no_client_auth();
        let key = PrivateKeyDer::try_from(shown.key.serialize_der()).unwrap();
        let config = Arc::new(builder.with_single_cert(shown.chain.clone(), key).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let received = Arc::new(AtomicUsize::new(0));
        let server = Self { addr: listener.local_addr().unwrap(), received: Arc::clone(&received) };
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut tls = rustls::StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket.unwrap());
                tls.sock.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let mut request = Vec::new();
                let mut piece = [0; 4096];
                while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                    match tls.read(&mut piece) {
                        Ok(count @ 1..) => request.extend_from_slice(&piece[..count]),
                        _ => break,
                    }
                    received.store(request.len(), Ordering::SeqCst);
                }
                if !request.is_empty() {
                    let _ = tls.write_all(ANSWER);
                }
                tls.conn.send_close_notify();
                let _ = tls.flush();
                let _ = tls.sock.shutdown(Shutdown::Write);
                // A socket that is closed before all was read resets the connection, and the answer may be lost with it.
                while matches!(tls.sock.read(&mut piece), Ok(1..)) {}
            }
        });
        server
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/hook", self.addr.port())
    }
}

/// Every name is on this machine.
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, _: &str) -> Resolving {
        Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) })
    }
}

fn client(roots: RootCertStore) -> Client {
    let policy = Policy::parse("127.0.0.0/8").unwrap();
    Client::with_roots(policy, Limits::default(), Arc::new(Loopback), Box::new(move || roots.clone()))
}

fn trusting(authority: &Authority) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    client(roots)
}

/// What TLS said, from the depth of the error.
fn reason(error: &Error) -> String {
    let Error::Connect(source) = error else { return format!("not refused by TLS: {error:?}") };
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(source.as_ref());
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return format!("{tls:?}");
        }
        // The source of an I/O error is that of its content.
        cause = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(content) => Some(content),
            None => error.source(),
        };
    }
    format!("not refused by TLS: {source:?}")
}

async fn refused(client: &Client, server: &Server, host: &str, wanted: &str) {
    let error = client.post(&server.url(host), Bytes::from_static(b"{}"), HeaderMap::new()).await.unwrap_err();
    assert!(reason(&error).contains(wanted), "`{}` is not for `{wanted}`", reason(&error));
    assert!(error.to_string() == "no connection" && error.is_retryable(), "clients are told no more, and a certificate may be renewed");
    assert_eq!(server.received.load(Ordering::SeqCst), 0, "nothing is told to whom is not trusted: {wanted}");
}

#[tokio::test]
async fn who_proves_to_be_the_host_is_spoken_to() {
    let authority = authority("test authority");
    let client = trusting(&authority);
    let shown = signed(&params(), &authority);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let server = Server::showing(&shown, &[version]);
        let body = client.get(&server.url(HOST), HeaderMap::new(), 100).await.unwrap();
        assert_eq!(body.bytes().await.unwrap(), "ok", "{version:?}");
        assert_eq!(client.post(&server.url(HOST), Bytes::from_static(b"{}"), HeaderMap::new()).await.unwrap(), 200);
        assert!(server.received.load(Ordering::SeqCst) > 0);
    }
}

#[tokio::test]
async fn through_intermediates_and_at_a_literal_address_as_well() {
    let root = authority("test authority");
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "intermediate");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let intermediate = CertifiedIssuer::signed_by(ca, KeyPair::generate().unwrap(), &root).unwrap();
    let mut at_address = params();
    at_address.subject_alt_names = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().subject_alt_names;
    let mut shown = signed(&at_address, &intermediate);
    let incomplete = Server::showing(&shown, rustls::ALL_VERSIONS);
    refused(&trusting(&root), &incomplete, "127.0.0.1", "UnknownIssuer").await;
    shown.chain.push(intermediate.der().clone());
    let server = Server::showing(&shown, rustls::ALL_VERSIONS);
    assert_eq!(trusting(&root).post(&server.url("127.0.0.1"), Bytes::new(), HeaderMap::new()).await.unwrap(), 200);
    let named = Server::showing(&shown, rustls::ALL_VERSIONS);
    refused(&trusting(&root), &named, HOST, "NotValidForName").await;
}

#[tokio::test]
async fn nobody_else_is() {
    let authority = authority("test authority");
    let client = trusting(&authority);
    let good = signed(&params(), &authority);
    let changed = |change: fn(&mut CertificateParams)| {
        let mut params = params();
        change(&mut params);
        signed(&params, &authority)
    };
    let other_host =
        changed(|params| params.subject_alt_names = CertificateParams::new(vec!["other.example.test".to_owned()]).unwrap().subject_alt_names);
    let only_common_name = changed(|params| {
        params.subject_alt_names.clear();
        params.distinguished_name.push(DnType::CommonName, HOST);
    });
    let wildcard_above = changed(|params| params.subject_alt_names = CertificateParams::new(vec!["*.test".to_owned()]).unwrap().subject_alt_names);
    let expired = changed(|params| (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1)));
    let not_yet = changed(|params| (params.not_before, params.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1)));
    let for_clients = changed(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let unknown = signed(&params(), &self::authority("test authority"));
    let key = KeyPair::generate().unwrap();
    let self_signed = Shown { chain: vec![params().self_signed(&key).unwrap().der().clone()], key };
    // Who holds a good certificate is no authority.
    let mut by_a_server = {
        let issuer = Issuer::new(params(), KeyPair::try_from(good.key.serialize_der()).unwrap());
        signed(&params(), &issuer)
    };
    by_a_server.chain.extend(good.chain.clone());
    for (shown, wanted) in [
        (&other_host, "NotValidForName"),
        (&only_common_name, "NotValidForName"),
        (&wildcard_above, "NotValidForName"),
        (&expired, "Expired"),
        (&not_yet, "NotValidYet"),
        (&for_clients, "InvalidPurpose"),
        (&unknown, "BadSignature"),
        (&self_signed, "UnknownIssuer"),
        (&by_a_server, "EndEntityUsedAsCa"),
    ] {
        refused(&client, &Server::showing(shown, rustls::ALL_VERSIONS), HOST, wanted).await;
    }
    // One that is good elsewhere is not at this address.
    refused(&client, &Server::showing(&good, rustls::ALL_VERSIONS), "127.0.0.1", "NotValidForName").await;
    // The authority of the tests is none of the system's, and with no roots at all nobody is trusted.
    refused(&self::client(system_roots()), &Server::showing(&good, rustls::ALL_VERSIONS), HOST, "UnknownIssuer").await;
    refused(&self::client(RootCertStore::empty()), &Server::showing(&good, rustls::ALL_VERSIONS), HOST, "UnknownIssuer").await;
}

#[tokio::test]
async fn what_speaks_no_tls_is_not_spoken_to_without() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let plain = std::thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut first = [0; 5];
        socket.read_exact(&mut first).unwrap();
        socket.write_all(ANSWER).unwrap();
        first
    });
    let client = trusting(&authority("test authority"));
    let error = client.post(&format!("https://{HOST}:{}/", addr.port()), Bytes::new(), HeaderMap::new()).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    // A TLS record of a handshake, and no letters of a request.
    assert_eq!(plain.join().unwrap()[..2], [22, 3]);
}
