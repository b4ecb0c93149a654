//! `sh`: scripts as people write them into manifests. Pipes, lists, loops, conditions, functions,
//! redirections, parameters; no commands in the background, for a guest has one thread. The stages
//! of a pipe run one after another, each with all of what the one before it wrote.

mod builtins;
mod expand;
mod parse;
mod sum;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::rc::Rc;

use crate::applets;
use crate::call::{
    Call, Failure, Host, Input, Io, Outcome, Output, TERMINATED, read_text, resolve,
};
use syntax::{AndOr, Command, List, Pipeline, Redirect, Stage, Target, What, Word};

/// How deep functions, substitutions and compound commands may run in each other.
const DEEPEST: usize = 60;

/// What a script goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Break(u32),
    Continue(u32),
    Return,
    Exit,
}

/// What `set` sets.
#[derive(Clone, Copy, Default)]
struct Flags {
    /// `-e`.
    ends_at_failure: bool,
    /// `-u`.
    unset_is_wrong: bool,
    /// `-x`.
    traces: bool,
    /// `-f`.
    plain_names: bool,
}

#[derive(Clone)]
struct Shell {
    name: String,
    positional: Vec<String>,
    variables: BTreeMap<String, String>,
    exported: BTreeSet<String>,
    functions: BTreeMap<String, Rc<Stage>>,
    /// What to do at `EXIT` and at `TERM`.
    traps: BTreeMap<String, String>,
    cwd: String,
    status: u8,
    flags: Flags,
    host: Host,
    /// The streams of the command that is being run.
    io: Io,
    /// Whether the redirections of this command stay, as those of `exec` do.
    keeps_streams: bool,
    depth: usize,
    /// Whether somebody looks at failures, so that `-e` does not count.
    looked_at: bool,
    /// Whether a trap has dealt with the pod's end.
    told: bool,
}

/// `sh [-eux] [-c SCRIPT [NAME]] [FILE] [ARGUMENT...]`.
pub(crate) fn run(call: &mut Call<'_>) -> Outcome {
    let options = call.options("cefluxi", "o")?;
    let mut rest = options.rest.clone().into_iter();
    let mut name = call.name().to_owned();
    let script = if options.has('c') {
        let missing = || Failure::new(2, "option -c needs a script");
        let script = rest.next().ok_or_else(missing)?;
        name = rest.next().unwrap_or(name);
        script
    } else if let Some(file) = rest.next() {
        let mut input = call.open(&file)?;
        name = file;
        read_text(&mut input)?
    } else {
        read_text(&mut call.io.input.clone())?
    };
    let mut shell = Shell {
        name,
        positional: rest.collect(),
        variables: call.variables.clone(),
        exported: call.variables.keys().cloned().collect(),
        functions: BTreeMap::new(),
        traps: BTreeMap::new(),
        cwd: call.cwd.to_owned(),
        status: 0,
        flags: Flags {
            ends_at_failure: options.has('e'),
            unset_is_wrong: options.has('u'),
            traces: options.has('x'),
            plain_names: options.has('f'),
        },
        host: call.host,
        io: call.io.clone(),
        keeps_streams: false,
        depth: 0,
        looked_at: false,
        told: false,
    };
    let list = match parse::parse(&script) {
        Ok(list) => list,
        Err(wrong) => return Err(Failure::new(2, wrong)),
    };
    shell.list(&list);
    shell.at_exit();
    Ok(shell.status)
}

impl Shell {
    fn at_exit(&mut self) {
        let status = self.status;
        if let Some(script) = self.traps.remove("EXIT") {
            self.script(&script);
            // The trap's own `exit` may have said otherwise.
            if self.status == 0 {
                self.status = status;
            }
        }
    }

    /// Runs text as a part of the script.
    fn script(&mut self, text: &str) -> Flow {
        match parse::parse(text) {
            Ok(list) => self.deeper(|shell| shell.list(&list)),
            Err(wrong) => self.fails(Failure::new(2, wrong)),
        }
    }

    /// Says what is wrong; the failure of a command of the shell's own is the script's end only if
    /// it is a wrong word.
    fn fails(&mut self, failure: Failure) -> Flow {
        let line = format!("{}: {}", self.name, failure.message);
        self.io.complain(&line);
        self.status = failure.code;
        Flow::Exit
    }

    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Flow) -> Flow {
        if self.depth == DEEPEST {
            return self.fails(Failure::new(2, "nested too deeply"));
        }
        self.depth += 1;
        let flow = inner(self);
        self.depth -= 1;
        flow
    }

    fn list(&mut self, list: &List) -> Flow {
        for and_or in list {
            let flow = self.and_or(and_or);
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    fn and_or(&mut self, and_or: &AndOr) -> Flow {
        let mut stages = std::iter::once((None, &and_or.first))
            .chain(and_or.rest.iter().map(|(and, pipeline)| (Some(*and), pipeline)))
            .peekable();
        while let Some((and, pipeline)) = stages.next() {
            if and.is_some_and(|and| and != (self.status == 0)) {
                continue;
            }
            let looked_at = self.looked_at;
            self.looked_at |= stages.peek().is_some() || pipeline.negated;
            let flow = self.pipeline(pipeline);
            let ends = self.flags.ends_at_failure && !self.looked_at && self.status != 0;
            self.looked_at = looked_at;
            if flow != Flow::Next {
                return flow;
            }
            if ends {
                return Flow::Exit;
            }
        }
        Flow::Next
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Flow {
        let flow = match pipeline.stages.as_slice() {
            [one] => self.stage(one),
            stages => self.piped(stages),
        };
        if pipeline.negated {
            self.status = u8::from(self.status == 0);
        }
        flow
    }

    /// Stages in shells of their own, one after another.
    fn piped(&mut self, stages: &[Rc<Stage>]) -> Flow {
        let mut input = self.io.input.clone();
        for (index, stage) in stages.iter().enumerate() {
            let mut shell = self.clone();
            shell.io.input = input;
            input = Input::Nothing;
            let last = index + 1 == stages.len();
            let (held, output) = Output::held();
            if !last {
                shell.io.output = output;
            }
            shell.stage(stage);
            if !last {
                input = Input::of(held.take());
            }
            self.status = shell.status;
            self.told |= shell.told;
        }
        self.next()
    }

    /// Whether the pod is asked to end, and nobody has answered yet.
    fn next(&mut self) -> Flow {
        if self.told || !(self.host.asked_to_end)() {
            return Flow::Next;
        }
        self.told = true;
        match self.traps.get("TERM").cloned() {
            Some(script) => self.script(&script),
            None => {
                self.status = TERMINATED;
                Flow::Exit
            }
        }
    }

    fn stage(&mut self, stage: &Stage) -> Flow {
        if let Command::Simple { assignments, words } = &stage.command {
            let flow = self.simple(assignments, words, &stage.redirects);
            return if flow == Flow::Next { self.next() } else { flow };
        }
        let io = self.io.clone();
        if let Err(failure) = self.redirect(&stage.redirects) {
            self.io = io;
            self.fails(failure);
            return Flow::Next;
        }
        let flow = self.deeper(|shell| shell.compound(&stage.command));
        self.io = io;
        flow
    }

    /// A condition's outcome: whether to go on with what depends on it.
    fn holds(&mut self, condition: &List) -> Result<bool, Flow> {
        let looked_at = std::mem::replace(&mut self.looked_at, true);
        let flow = self.list(condition);
        self.looked_at = looked_at;
        if flow == Flow::Next { Ok(self.status == 0) } else { Err(flow) }
    }

    fn compound(&mut self, command: &Command) -> Flow {
        match command {
            // Its redirections come before its words, so it is run elsewhere.
            Command::Simple { .. } => Flow::Next,
            Command::Group(list) => self.list(list),
            Command::Subshell(list) => {
                let mut shell = self.clone();
                shell.traps.remove("EXIT");
                shell.list(list);
                shell.at_exit();
                self.status = shell.status;
                self.told |= shell.told;
                self.next()
            }
            Command::If { arms, otherwise } => {
                for (condition, body) in arms {
                    match self.holds(condition) {
                        Ok(true) => return self.list(body),
                        Ok(false) => {}
                        Err(flow) => return flow,
                    }
                }
                self.status = 0;
                self.list(otherwise)
            }
            Command::Loop { until, condition, body } => {
                let mut status = 0;
                loop {
                    match self.holds(condition) {
                        Ok(holds) if holds == *until => break,
                        Ok(_) => {}
                        Err(flow) => return flow,
                    }
                    match left(self.list(body)) {
                        Turn::Again => status = self.status,
                        Turn::Leave(flow) => return flow,
                    }
                }
                self.status = status;
                Flow::Next
            }
            Command::For { name, values, body } => {
                let values = match values {
                    Some(words) => match self.arguments(words) {
                        Ok(values) => values,
                        Err(failure) => return self.fails(failure),
                    },
                    None => self.positional.clone(),
                };
                self.status = 0;
                for value in values {
                    self.variables.insert(name.clone(), value);
                    if let Turn::Leave(flow) = left(self.list(body)) {
                        return flow;
                    }
                }
                Flow::Next
            }
            Command::Case { subject, arms } => self.case(subject, arms),
            Command::Function { name, body } => {
                self.functions.insert(name.clone(), body.clone());
                self.status = 0;
                Flow::Next
            }
        }
    }

    fn case(&mut self, subject: &Word, arms: &[(Vec<Word>, List)]) -> Flow {
        let subject = match self.string(subject) {
            Ok(subject) => subject,
            Err(failure) => return self.fails(failure),
        };
        for (patterns, body) in arms {
            for pattern in patterns {
                match self.pattern(pattern) {
                    Ok(pattern) if pattern.matches(&subject) => {
                        self.status = 0;
                        return self.list(body);
                    }
                    Ok(_) => {}
                    Err(failure) => return self.fails(failure),
                }
            }
        }
        self.status = 0;
        Flow::Next
    }

    fn simple(
        &mut self,
        assignments: &[(String, Word)],
        words: &[Word],
        redirects: &[Redirect],
    ) -> Flow {
        let arguments = match self.arguments(words) {
            Ok(arguments) => arguments,
            Err(failure) => return self.fails(failure),
        };
        // What `x=$(false)` leaves is that command's status.
        if arguments.is_empty() && !assignments.iter().any(|(_, word)| has_output(word)) {
            self.status = 0;
        }
        let mut assigned = Vec::new();
        for (name, word) in assignments {
            match self.string(word) {
                Ok(value) => assigned.push((name.clone(), value)),
                Err(failure) => return self.fails(failure),
            }
        }
        if self.flags.traces {
            let shown = assigned.iter().map(|(name, value)| format!("{name}={value}"));
            let shown: Vec<String> = shown.chain(arguments.iter().cloned()).collect();
            self.io.complain(&format!("+ {}", shown.join(" ")));
        }
        let io = self.io.clone();
        let flow = match self.redirect(redirects) {
            Err(failure) => {
                self.fails(failure);
                Flow::Next
            }
            Ok(()) if arguments.is_empty() => {
                self.variables.extend(assigned);
                Flow::Next
            }
            Ok(()) => self.command(arguments, assigned),
        };
        if !std::mem::take(&mut self.keeps_streams) {
            self.io = io;
        }
        flow
    }

    /// A function, a command of the shell's own, or another one, in this order.
    fn command(&mut self, arguments: Vec<String>, assigned: Vec<(String, String)>) -> Flow {
        let name = arguments.first().cloned().unwrap_or_default();
        if let Some(body) = self.functions.get(&name).cloned() {
            self.variables.extend(assigned);
            let inner = arguments.into_iter().skip(1).collect();
            let outer = std::mem::replace(&mut self.positional, inner);
            let flow = self.deeper(|shell| shell.stage(&body));
            self.positional = outer;
            return if flow == Flow::Return { Flow::Next } else { flow };
        }
        if let Some(builtin) = builtins::named(&name) {
            self.variables.extend(assigned);
            return match builtin(self, &arguments) {
                Ok(flow) => flow,
                Err(failure) => {
                    self.io.complain(&format!("{}: {name}: {}", self.name, failure.message));
                    self.status = failure.code;
                    Flow::Next
                }
            };
        }
        if applets::named(&name).is_none() {
            self.io.complain(&format!("{}: {name}: not found", self.name));
            self.status = 127;
            return Flow::Next;
        }
        self.status = self.applet(arguments, assigned);
        Flow::Next
    }

    fn applet(&mut self, arguments: Vec<String>, assigned: Vec<(String, String)>) -> u8 {
        let mut variables = self.variables.clone();
        variables.retain(|name, _| self.exported.contains(name));
        variables.extend(assigned);
        variables.insert("PWD".to_owned(), self.cwd.clone());
        // Once a trap has dealt with the request to end, it no longer cuts anything short.
        let host = match self.told {
            true => Host { asked_to_end: || false, sleep: patiently },
            false => self.host,
        };
        let cwd = self.cwd.clone();
        let mut io = self.io.clone();
        let mut call = Call { arguments, variables: &variables, cwd: &cwd, io: &mut io, host };
        let status = applets::run(&mut call);
        // The order of what is written to both streams is that of the commands.
        let _ = io.output.flush();
        status
    }

    /// What commands print.
    fn output_of(&mut self, list: &List) -> Result<String, Failure> {
        if self.depth == DEEPEST {
            return Err(Failure::new(2, "nested too deeply"));
        }
        let mut shell = self.clone();
        let (held, output) = Output::held();
        shell.io.output = output;
        shell.depth += 1;
        shell.traps.remove("EXIT");
        shell.list(list);
        shell.at_exit();
        self.status = shell.status;
        self.told |= shell.told;
        Ok(String::from_utf8_lossy(&held.take()).into_owned())
    }

    fn redirect(&mut self, redirects: &[Redirect]) -> Result<(), Failure> {
        for Redirect { stream, to } in redirects {
            match (stream, to) {
                (_, Target::Read(word)) => {
                    let name = self.string(word)?;
                    self.io.input = self.input(&name)?;
                }
                (_, Target::Text(text)) => {
                    let text = match text.get() {
                        Some(word) => self.string(word)?,
                        None => String::new(),
                    };
                    self.io.input = Input::of(text);
                }
                (0, Target::Same(0)) => {}
                (2, Target::Same(1)) => self.io.errors = self.io.output.clone(),
                (1, Target::Same(2)) => self.io.output = self.io.errors.clone(),
                (1, Target::Same(1)) | (2, Target::Same(2)) => {}
                (_, Target::Same(other)) => {
                    return Err(Failure::new(
                        2,
                        format!("stream {stream} cannot be stream {other}"),
                    ));
                }
                (0, Target::Write(_) | Target::Append(_)) => {
                    return Err(Failure::new(2, "stream 0 is not written to"));
                }
                (1, Target::Write(word)) => self.io.output = self.output(word, false)?,
                (1, Target::Append(word)) => self.io.output = self.output(word, true)?,
                (_, Target::Write(word)) => self.io.errors = self.output(word, false)?,
                (_, Target::Append(word)) => self.io.errors = self.output(word, true)?,
            }
        }
        Ok(())
    }

    fn input(&mut self, name: &str) -> Result<Input, Failure> {
        let (variables, cwd, host) = (BTreeMap::new(), self.cwd.clone(), self.host);
        let call = Call {
            arguments: Vec::new(),
            variables: &variables,
            cwd: &cwd,
            io: &mut self.io,
            host,
        };
        call.open(name)
    }

    fn output(&mut self, word: &Word, appends: bool) -> Result<Output, Failure> {
        let name = self.string(word)?;
        match name.as_str() {
            "/dev/null" => return Ok(Output::Nothing),
            "/dev/stdout" | "/proc/1/fd/1" => return Ok(self.io.output.clone()),
            "/dev/stderr" | "/proc/1/fd/2" => return Ok(self.io.errors.clone()),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true).append(appends).truncate(!appends);
        let file = options.open(resolve(&self.cwd, &name)).map_err(|error| {
            Failure::new(1, format!("can't create {name}: {}", crate::call::reason(&error)))
        })?;
        Ok(Output::File(Rc::new(file)))
    }
}

fn has_output(word: &Word) -> bool {
    word.iter().any(|piece| matches!(piece.what, What::Output(_)))
}

/// What a turn of a loop leaves.
enum Turn {
    Again,
    Leave(Flow),
}

fn left(flow: Flow) -> Turn {
    match flow {
        Flow::Next | Flow::Continue(0 | 1) => Turn::Again,
        Flow::Continue(outer) => Turn::Leave(Flow::Continue(outer - 1)),
        Flow::Break(0 | 1) => Turn::Leave(Flow::Next),
        Flow::Break(outer) => Turn::Leave(Flow::Break(outer - 1)),
        Flow::Return => Turn::Leave(Flow::Return),
        Flow::Exit => Turn::Leave(Flow::Exit),
    }
}

fn patiently(length: std::time::Duration) -> bool {
    std::thread::sleep(length);
    true
}
