//! What a person reads after `cargo run`.

use std::io::{self, Write};
use std::path::Path;

use crate::host::{AdminOutcome, Host};

/// Prints addresses, the key when it was made now, and the three lines that scan a file.
pub fn print(host: &Host, data_dir: &Path, out: &mut dyn Write) -> io::Result<()> {
    let url = format!("http://{}", host.addr);
    writeln!(out, "\nPortcullis listens on {url}  (state: {})", data_dir.display())?;
    let key = match &host.admin {
        AdminOutcome::Created { apikey } => {
            writeln!(out, "\nAdministrator's API key, shown this once:\n\n    {apikey}\n")?;
            apikey.as_str()
        }
        AdminOutcome::Existing { changed } => {
            let note = if *changed { "was changed as given" } else { "was shown at the first start; PORTCULLIS_ADMIN_APIKEY sets a new one" };
            writeln!(out, "\nThe administrator's API key {note}.\n")?;
            "<key>"
        }
    };
    writeln!(out, "Scan a file:\n")?;
    writeln!(out, "    KEY={key}")?;
    writeln!(out, "    ID=$(curl -s -H \"apikey: $KEY\" -H 'filename: README.md' --data-binary @README.md {url}/file | cut -d'\"' -f4)")?;
    writeln!(out, "    curl -s -H \"apikey: $KEY\" {url}/file/$ID\n")?;
    writeln!(out, "Or in a browser, with the key: {url}/ (console), {url}/docs (the API)\n")?;
    let access = &host.access;
    let inbox = host.topology.bucket("InboxBucket").map(|bucket| bucket.name.as_str()).unwrap_or_default();
    writeln!(out, "Embedded S3, SQS and DynamoDB: {} (key {}, secret in {}/aws-secret)", access.endpoint, access.access_key, data_dir.display())?;
    writeln!(out, "Objects put into s3://{inbox} are scanned and tagged. Stop with Ctrl-C.\n")?;
    out.flush()
}
