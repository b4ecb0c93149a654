//! The program's commands, one file each.

mod run;
mod up;

/// What the program can be told to do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Start a cluster and run it until Ctrl-C.
    Up(Box<crate::config::Config>),
    /// Run an image once, or by a schedule, in the cluster that the kubeconfig names.
    Run(run::Arguments),
}

impl Command {
    /// Runs the command to its end.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Up(config) => up::run(*config),
            Self::Run(arguments) => run::run(arguments),
        }
    }
}
