//! The program's commands, one file each.

mod up;

/// What the program can be told to do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Start a cluster and run it until Ctrl-C.
    Up(crate::config::Config),
}

impl Command {
    /// Runs the command to its end.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Up(config) => up::run(config),
        }
    }
}
