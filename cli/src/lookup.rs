//! `result` and `hash`: what the server knows already.

use std::time::Duration;

use http::{HeaderMap, Method};

use crate::api::{self, Core};
use crate::args::{HashArgs, ResultArgs};
use crate::error::Error;
use crate::judge::{About, Judged, judge};
use crate::output::{self, Report};
use crate::submit::{Ended, poll};

pub(crate) async fn result(args: ResultArgs) -> Result<u8, Error> {
    let core = Core::of(&args.server)?;
    let about = About { id: Some(&args.id), digest: None };
    let report = match poll(&core, &args.id, about, Duration::from_secs(args.wait)).await {
        Ok(ended) => {
            let name = ended.result["file_info"]["display_name"].as_str().unwrap_or(&args.id).to_owned();
            Report::of(&name, ended, args.show.full)
        }
        Err(error) => Report { data_id: Some(args.id.clone()), ..Report::failed(&args.id, &error) },
    };
    output::show(&[report], &[], args.show.output)
}

pub(crate) async fn hashes(args: HashArgs) -> Result<u8, Error> {
    let core = Core::of(&args.server)?;
    let kinds = args.hashes.iter().map(|hash| kind(hash)).collect::<Result<Vec<_>, _>>()?;
    let rule = args.rule.iter().map(|rule| ("rule".to_owned(), api::component(rule.as_bytes())));
    let headers = api::headers(rule)?;
    let mut reports = vec![];
    for (hash, kind) in args.hashes.iter().zip(kinds) {
        reports.push(match one(&core, hash, kind, &headers).await {
            Ok(ended) => Report::of(hash, ended, args.show.full),
            Err(error) => Report::failed(hash, &error),
        });
    }
    output::show(&reports, &[], args.show.output)
}

async fn one(core: &Core, hash: &str, kind: &str, headers: &HeaderMap) -> Result<Ended, Error> {
    let result = core.json(Method::GET, &format!("/hash/{hash}"), headers, "").await?;
    match judge(&result, hash, About { id: None, digest: Some((kind, hash)) }) {
        Judged::Ended(verdict) => Ok(Ended { verdict, result }),
        Judged::Unknown => Err(Error::Said("The server knows no content with this hash.".into())),
        Judged::Running(percent) => Err(Error::Said(format!("The content is being scanned ({percent} %)."))),
        Judged::Doubt(why) => Err(Error::Said(why)),
    }
}

/// Which digest it is, by its length.
fn kind(hash: &str) -> Result<&'static str, Error> {
    let kind = match hash.len() {
        32 => "md5",
        40 => "sha1",
        64 => "sha256",
        128 => "sha512",
        _ => "",
    };
    if kind.is_empty() || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::Said(format!("`{}` is no MD5, SHA-1, SHA-256 or SHA-512 in hexadecimal.", crate::printable(hash))));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_known_by_its_length() {
        assert_eq!(kind(&"aB".repeat(16)).unwrap(), "md5");
        assert_eq!(kind(&"0".repeat(128)).unwrap(), "sha512");
        for wrong in ["", "abc", &"g".repeat(32), "../../admin/user/"] {
            assert!(kind(wrong).is_err(), "{wrong}");
        }
    }
}
