//! Shell completions and man pages, generated from the command line's own definition.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

/// `completions`.
#[derive(Clone, Debug, Args)]
pub struct Completions {
    /// The shell that they are for.
    #[arg(value_parser = clap::builder::EnumValueParser::<Shell>::new())]
    pub shell: Shell,
}

impl Completions {
    /// Prints them.
    ///
    /// # Errors
    /// One sentence: the output can not be written.
    pub fn run(&self, mut command: Command) -> Result<(), String> {
        let name = command.get_name().to_owned();
        let mut text = vec![];
        clap_complete::generate(self.shell, &mut command, name, &mut text);
        written(&text)
    }
}

/// `man`.
#[derive(Clone, Debug, Args)]
pub struct Man {
    /// Folder to write all pages to, one for each command; without it, the main page is printed.
    #[arg(long)]
    pub out: Option<PathBuf>,
}

impl Man {
    /// Writes the pages.
    ///
    /// # Errors
    /// One sentence: they can not be written.
    pub fn run(&self, command: Command) -> Result<(), String> {
        if let Some(folder) = &self.out {
            let write = || std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
            return write().map_err(|error| format!("`{}`: {error}.", folder.display()));
        }
        let mut text = vec![];
        clap_mangen::Man::new(command).render(&mut text).map_err(|error| format!("{error}."))?;
        written(&text)
    }
}

fn written(text: &[u8]) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).map_err(|error| format!("The output could not be written: {error}."))
}
