//! `scan`: files, folders, standard input; several at a time, shown in order.

use futures::StreamExt;

use crate::api::Core;
use crate::args::{ScanArgs, Show, Submit, Targets};
use crate::error::Error;
use crate::files::{self, Found, Item};
use crate::interrupt::Running;
use crate::output::{self, Report};
use crate::progress::Progress;
use crate::submit::Submitter;

pub(crate) async fn run(args: ScanArgs, running: &Running) -> Result<u8, Error> {
    let core = Core::of(&args.server)?;
    all(&core, args.targets, &args.submit, None, &args.show, running).await
}

/// Scans everything named, in a batch or not.
pub(crate) async fn all(core: &Core, targets: Targets, submit: &Submit, batch: Option<&str>, show: &Show, running: &Running) -> Result<u8, Error> {
    // Told before standard input is waited for.
    Submitter::new(core, submit, batch, running, Progress::none())?;
    core.greet().await?;
    let found = tokio::task::spawn_blocking(move || files::find(&targets)).await.map_err(|error| Error::Said(format!("{error}.")))??;
    let Found { items, skipped } = found;
    let progress = Progress::new(items.iter().map(|item| item.size).sum(), items.len(), show.quiet);
    let submitter = Submitter::new(core, submit, batch, running, progress.clone())?;
    let files = items.len();
    let scans = items.into_iter().enumerate().map(|(n, item)| {
        let submitter = &submitter;
        async move { (n, one(submitter, item, show.full).await) }
    });
    let mut reports = Vec::with_capacity(files);
    let mut scans = futures::stream::iter(scans).buffer_unordered(usize::from(submit.jobs));
    while let Some(report) = scans.next().await {
        reports.push(report);
        progress.ended(reports.len(), files);
    }
    progress.clear();
    reports.sort_by_key(|(n, _)| *n);
    let reports: Vec<Report> = reports.into_iter().map(|(_, report)| report).collect();
    output::show(&reports, &skipped, show.output)
}

async fn one(submitter: &Submitter, item: Item, full: bool) -> Report {
    let content = match item.content {
        Ok(content) => content,
        Err(error) => return Report::failed(&item.shown, &error),
    };
    match submitter.scan(&item.name, &content).await {
        (_, Ok(ended)) => Report::of(&item.shown, ended, full),
        (accepted, Err(error)) => {
            let (data_id, sha256) = accepted.map(|accepted| (accepted.id, accepted.digest)).unzip();
            Report { sha256, data_id, ..Report::failed(&item.shown, &error) }
        }
    }
}
