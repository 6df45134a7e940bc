//! `login`, `logout`, `rules`.

use std::io::{BufRead, IsTerminal, Write};

use console::Term;
use http::Method;
use serde_json::{Value, json};

use crate::ALLOWED;
use crate::api::{self, Core};
use crate::args::{Format, LoginArgs, LogoutArgs, RulesArgs};
use crate::error::Error;
use crate::output::{print, printable};
use crate::session::{self, Session};

pub(crate) async fn login(args: LoginArgs) -> Result<u8, Error> {
    let path = session::path()?;
    let mut core = Core::of(&args.server)?;
    // A key from before must not stand in for a password.
    let given = args.server.apikey.as_deref().is_some_and(|key| !key.trim().is_empty());
    let (apikey, is_session) = if given && args.user.is_none() {
        (core.key().to_owned(), false)
    } else {
        core = Core::new(core.url().to_owned(), None, core.retries())?;
        let (user, password) = tokio::task::spawn_blocking(move || credentials(&args)).await.map_err(|error| Error::Said(format!("{error}.")))??;
        let headers = api::headers([])?;
        let answer = core.json(Method::POST, "/login", &headers, &json!({ "user": user, "password": password }).to_string()).await;
        let answer = answer.map_err(|error| match error {
            Error::Answered { status: 401 | 403 | 404, .. } => Error::Said("The server does not accept this name and password.".into()),
            other => other,
        })?;
        let id = answer["session_id"].as_str().filter(|id| !id.is_empty());
        (id.ok_or_else(|| Error::Said("The server's answer has no `session_id`.".into()))?.to_owned(), true)
    };
    // What clients of Core check a key with (contract §5.1).
    let core = Core::new(core.url().to_owned(), Some(&apikey), core.retries())?;
    core.get("/version").await?;
    session::store(&path, &Session { url: core.url().to_owned(), apikey, session: is_session })?;
    print(&format!("Signed in to {}; the key is in {}.", core.url(), path.display()))?;
    Ok(ALLOWED)
}

fn credentials(args: &LoginArgs) -> Result<(String, String), Error> {
    let failed = |error: std::io::Error| Error::Said(format!("The password could not be read: {error}."));
    let line = || {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line.trim_end_matches(['\n', '\r']).to_owned()).map_err(failed)
    };
    let terminal = std::io::stdin().is_terminal();
    let user = match &args.user {
        Some(user) => user.clone(),
        None if terminal && !args.password_stdin => {
            let _ = write!(std::io::stderr(), "User: ");
            line()?
        }
        None => return Err(Error::Said("Name the user with `--user`, or give a key.".into())),
    };
    let password = if args.password_stdin {
        line()?
    } else if terminal {
        let _ = write!(std::io::stderr(), "Password: ");
        Term::stderr().read_secure_line().map_err(failed)?
    } else {
        return Err(Error::Said("There is no terminal to ask for the password: use `--password-stdin`.".into()));
    };
    Ok((user, password))
}

pub(crate) async fn logout(args: LogoutArgs) -> Result<u8, Error> {
    let path = session::path()?;
    // A damaged file, or one that others can read, is forgotten all the same.
    let kept = session::load().ok().flatten();
    let forgotten = session::forget(&path)?;
    if let Some(kept) = kept.filter(|kept| kept.session) {
        let core = Core::new(api::base(&kept.url)?, Some(&kept.apikey), args.server.retries)?;
        match core.post("/logout", &api::headers([])?).await {
            // It had ended by itself.
            Ok(_) | Err(Error::Answered { status: 400 | 401 | 403, .. }) => {}
            Err(error) => return Err(Error::Said(format!("The key is forgotten here, but the session may live on: {error}"))),
        }
    }
    print(if forgotten { "Signed out." } else { "No key was kept." })?;
    Ok(ALLOWED)
}

pub(crate) async fn rules(args: RulesArgs) -> Result<u8, Error> {
    let core = Core::of(&args.server)?;
    let headers = api::headers(args.user_agent.map(|agent| ("user_agent".to_owned(), api::text(&agent))))?;
    let rules = core.json(Method::GET, "/file/rules", &headers, "").await?;
    let list = rules.as_array().ok_or_else(|| Error::Said("The server's answer is no list of rules.".into()))?;
    match args.output {
        Format::Json => print(&rules.to_string())?,
        Format::Table => {
            let row = |rule: &Value| {
                let most = rule["max_file_size"].as_u64().map(|bytes| format!("up to {}", indicatif::HumanBytes(bytes))).unwrap_or_default();
                format!("{:32} {most}", printable(rule["name"].as_str().unwrap_or("?"))).trim_end().to_owned()
            };
            print(&list.iter().map(row).collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(ALLOWED)
}
