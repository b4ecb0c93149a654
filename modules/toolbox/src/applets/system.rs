//! Small things: `basename`, `dirname`, `env`, `expr`, `hostname`, `seq`, `true`, `false`, `uname`.

use std::io::Write;

use crate::call::{Call, Failure, Outcome};

pub(super) fn yes(_: &mut Call<'_>) -> Outcome {
    Ok(0)
}

pub(super) fn no(_: &mut Call<'_>) -> Outcome {
    Ok(1)
}

pub(super) fn basename(call: &mut Call<'_>) -> Outcome {
    let (path, suffix) = match call.arguments.as_slice() {
        [_, path] => (path, ""),
        [_, path, suffix] => (path, suffix.as_str()),
        _ => return Err(Failure::new(2, "usage: basename PATH [SUFFIX]")),
    };
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name = name.strip_suffix(suffix).filter(|rest| !rest.is_empty()).unwrap_or(name);
    let name = if name.is_empty() { "/" } else { name };
    writeln!(call.io.output, "{name}")?;
    Ok(0)
}

pub(super) fn dirname(call: &mut Call<'_>) -> Outcome {
    let [_, path] = call.arguments.as_slice() else {
        return Err(Failure::new(2, "usage: dirname PATH"));
    };
    let directory = match path.trim_end_matches('/').rsplit_once('/') {
        Some((directory, _)) => directory.trim_end_matches('/'),
        None if path.starts_with('/') => "",
        None => ".",
    };
    let directory = if directory.is_empty() { "/" } else { directory };
    writeln!(call.io.output, "{directory}")?;
    Ok(0)
}

/// `env [NAME=VALUE...] [COMMAND...]` and `printenv [NAME...]`.
pub(super) fn env(call: &mut Call<'_>) -> Outcome {
    let rest = call.arguments.get(1..).unwrap_or_default().to_vec();
    if call.name() == "printenv" && !rest.is_empty() {
        let mut code = 0;
        for name in rest {
            match call.variables.get(&name) {
                Some(value) => writeln!(call.io.output, "{value}")?,
                None => code = 1,
            }
        }
        return Ok(code);
    }
    let mut variables = call.variables.clone();
    let mut words = rest.into_iter().peekable();
    while let Some((name, value)) = words
        .peek()
        .and_then(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    {
        variables.insert(name, value);
        words.next();
    }
    let arguments: Vec<String> = words.collect();
    if arguments.first().is_some_and(|first| first.starts_with('-')) {
        return Err(Failure::of_option(&arguments.join(" ")));
    }
    if arguments.is_empty() {
        for (name, value) in &variables {
            writeln!(call.io.output, "{name}={value}")?;
        }
        return Ok(0);
    }
    let mut inner = Call {
        arguments,
        variables: &variables,
        cwd: call.cwd,
        io: &mut *call.io,
        host: call.host,
    };
    Ok(super::run(&mut inner))
}

/// `expr A OPERATOR B`, of whole numbers and of texts.
pub(super) fn expr(call: &mut Call<'_>) -> Outcome {
    let [_, left, operator, right] = call.arguments.as_slice() else {
        return Err(Failure::new(2, "usage: expr A OPERATOR B"));
    };
    let number = |text: &String| {
        text.parse::<i64>().map_err(|_| Failure::new(2, format!("{text}: not a number")))
    };
    let numbers = || Ok::<_, Failure>((number(left)?, number(right)?));
    let zero = || Failure::new(2, "division by zero");
    let value = match operator.as_str() {
        "+" => numbers().map(|(left, right)| left.wrapping_add(right))?,
        "-" => numbers().map(|(left, right)| left.wrapping_sub(right))?,
        "*" => numbers().map(|(left, right)| left.wrapping_mul(right))?,
        "/" => numbers().and_then(|(left, right)| left.checked_div(right).ok_or_else(zero))?,
        "%" => numbers().and_then(|(left, right)| left.checked_rem(right).ok_or_else(zero))?,
        "=" => i64::from(left == right),
        "!=" => i64::from(left != right),
        "<" => numbers().map(|(left, right)| i64::from(left < right))?,
        "<=" => numbers().map(|(left, right)| i64::from(left <= right))?,
        ">" => numbers().map(|(left, right)| i64::from(left > right))?,
        ">=" => numbers().map(|(left, right)| i64::from(left >= right))?,
        other => return Err(Failure::new(2, format!("operator {other} is not there"))),
    };
    writeln!(call.io.output, "{value}")?;
    Ok(u8::from(value == 0))
}

pub(super) fn hostname(call: &mut Call<'_>) -> Outcome {
    let options = call.options("sf", "")?;
    if let Some(name) = options.rest.first() {
        return Err(Failure::new(1, format!("sethostname to {name}: Operation not permitted")));
    }
    let name = call.variables.get("HOSTNAME").cloned().unwrap_or_else(|| "localhost".to_owned());
    writeln!(call.io.output, "{name}")?;
    Ok(0)
}

/// `seq [FIRST [STEP]] LAST`.
pub(super) fn seq(call: &mut Call<'_>) -> Outcome {
    let numbers = call.arguments.iter().skip(1).map(|text| {
        text.parse::<i64>().map_err(|_| Failure::new(1, format!("invalid number '{text}'")))
    });
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    let (first, step, last) = match numbers.as_slice() {
        [last] => (1, 1, *last),
        [first, last] => (*first, 1, *last),
        [first, step, last] if *step != 0 => (*first, *step, *last),
        _ => return Err(Failure::new(2, "usage: seq [FIRST [STEP]] LAST")),
    };
    let mut next = Some(first);
    while let Some(number) =
        next.filter(|next| if step > 0 { *next <= last } else { *next >= last })
    {
        writeln!(call.io.output, "{number}")?;
        next = number.checked_add(step);
    }
    Ok(0)
}

pub(super) fn uname(call: &mut Call<'_>) -> Outcome {
    let options = call.options("asnrm", "")?;
    let node = call.variables.get("HOSTNAME").map_or("localhost", String::as_str);
    let parts = [('s', "WASI"), ('n', node), ('r', "0.2"), ('m', "wasm32")];
    let wanted = parts.iter().filter(|(letter, _)| options.has('a') || options.has(*letter));
    let wanted: Vec<&str> = wanted.map(|(_, part)| *part).collect();
    let line = if wanted.is_empty() { "WASI".to_owned() } else { wanted.join(" ") };
    writeln!(call.io.output, "{line}")?;
    Ok(0)
}
