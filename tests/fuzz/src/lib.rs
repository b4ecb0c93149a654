//! Fuzzing of everything that reads bytes from outside: bodies, patches and queries through the
//! whole router over the memory store, and the pure parsers by themselves.
//!
//! Coverage-guided engines want a nightly compiler. Here seeds that reach deep are mutated by
//! bytes, by words of the languages that are parsed, and by the structure of JSON; integer
//! overflow is checked, time is virtual. An input that was found stays in `corpus/<target>/` and
//! is tried again by every test run.

mod mutate;
mod parsers;
mod requests;

use std::path::PathBuf;

pub use mutate::Mutator;
pub use requests::Server;

/// Something that reads bytes.
pub struct Target {
    /// Its name: the folder of its corpus.
    pub name: &'static str,
    /// Inputs that it accepts, to be mutated.
    pub seeds: fn() -> Vec<Vec<u8>>,
    run: Run,
}

enum Run {
    /// A parser by itself.
    Parser(fn(&[u8]) -> Verdict),
    /// A request to a server.
    Request(fn(&[u8]) -> http::request::Builder, Body),
}

/// Whether an input was accepted, or what is wrong with what came of it.
pub type Verdict = Result<bool, String>;

/// Where the input goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Input,
    Empty,
}

/// Every target.
pub fn targets() -> Vec<Target> {
    let mut all = parsers::targets();
    all.extend(requests::targets());
    all
}

impl Target {
    /// Whether it needs a server.
    pub fn asks_a_server(&self) -> bool {
        matches!(self.run, Run::Request(..))
    }

    /// Gives it one input.
    pub async fn try_input(&self, server: &Server, input: &[u8]) -> Verdict {
        match self.run {
            Run::Parser(parse) => std::panic::catch_unwind(|| parse(input))
                .unwrap_or_else(|_| Err("the parser panicked".to_owned())),
            Run::Request(request, body) => {
                let bytes = if body == Body::Input { input.to_vec() } else { Vec::new() };
                server.judge(request(input), bytes).await
            }
        }
    }
}

/// The folder of a target's kept inputs.
pub fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The kept inputs of a target.
pub fn kept(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let Ok(folder) = std::fs::read_dir(corpus(target)) else { return Ok(Vec::new()) };
    folder.map(|file| std::fs::read(file?.path())).collect()
}
