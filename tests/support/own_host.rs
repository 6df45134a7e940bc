//! A local host of one's own: for tests that change what others share, and for the benchmarks.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use portcullis_local::host::{AdminOptions, Host, HostOptions};

/// An address of this machine, any free port.
pub fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A host whose state lies in `folder` and whose administrator has `key`. `overrides` are environment keys of its functions.
pub async fn start(folder: &Path, key: &str, overrides: &[(&str, &str)]) -> Host {
    Host::start(options(folder, key, overrides)).await.unwrap()
}

/// The options of such a host.
pub fn options(folder: &Path, key: &str, overrides: &[(&str, &str)]) -> HostOptions {
    HostOptions {
        api: loopback(),
        aws: loopback(),
        data_dir: folder.to_owned(),
        admin: AdminOptions { apikey: Some(key.into()), ..AdminOptions::default() },
        rules: None,
        definitions: None,
        overrides: overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        executable: PathBuf::from(env!("CARGO_BIN_EXE_portcullis")),
        test_hooks: false,
    }
}

/// An empty folder of that name among the build's temporary files.
pub fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}
