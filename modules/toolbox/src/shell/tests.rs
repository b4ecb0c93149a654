//! Scripts, and what they print.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::applets;
use crate::call::{Call, Host, Input, Io, Output};

thread_local! {
    /// How often a test's scripts may still sleep before the pod is asked to end.
    static SLEEPS: RefCell<u32> = const { RefCell::new(u32::MAX) };
}

fn asked_to_end() -> bool {
    SLEEPS.with_borrow(|left| *left == 0)
}

fn sleep(_: Duration) -> bool {
    SLEEPS.with_borrow_mut(|left| *left = left.saturating_sub(1));
    !asked_to_end()
}

fn text(held: &Rc<RefCell<Vec<u8>>>) -> String {
    String::from_utf8(held.borrow().clone()).unwrap()
}

/// The exit code, and what was printed to both streams.
fn sh_in(cwd: &str, script: &str, input: &str) -> (u8, String, String) {
    let ((printed, output), (complained, errors)) = (Output::held(), Output::held());
    let mut io = Io { input: Input::of(input), output, errors };
    let variables: BTreeMap<String, String> = [("HOSTNAME", "web-2"), ("EMPTY", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let arguments = ["sh", "-c", script, "sh", "one", "two words"].map(str::to_owned).to_vec();
    let host = Host { asked_to_end, sleep };
    let mut call = Call { arguments, variables: &variables, cwd, io: &mut io, host };
    let code = applets::run(&mut call);
    (code, text(&printed), text(&complained))
}

fn sh(script: &str) -> (u8, String, String) {
    sh_in("/", script, "a line\nanother  line\n")
}

#[test]
fn scripts_print() {
    for (script, printed) in [
        ("echo hello", "hello\n"),
        ("echo  a   b # c", "a b\n"),
        ("echo 'a   b' \"c   d\" e\\ f", "a   b c   d e f\n"),
        ("x=1; y=\"$x 2\"; echo $y; echo '$y'", "1 2\n$y\n"),
        ("echo ${HOSTNAME##*-} ${HOSTNAME%-*} ${#HOSTNAME}", "2 web 5\n"),
        (
            "echo ${NONE:-default} ${EMPTY-x}${EMPTY:-y} ${NONE:+no}${HOSTNAME:+yes}",
            "default y yes\n",
        ),
        ("echo ${NEW:=made} $NEW", "made made\n"),
        ("a=a.b.c; echo ${a#*.} ${a##*.} ${a%.*} ${a%%.*}", "b.c c a.b a\n"),
        ("echo $# $1 \"$2\" $0", "2 one two words sh\n"),
        ("for a in \"$@\"; do echo \"[$a]\"; done", "[one]\n[two words]\n"),
        ("for a in $@; do echo \"[$a]\"; done", "[one]\n[two]\n[words]\n"),
        ("for a; do echo $a; shift; done; echo $#", "one\ntwo words\n0\n"),
        ("for i in $(seq 1 3); do echo kube $i; sleep 0.1; done", "kube 1\nkube 2\nkube 3\n"),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); [ $i = 2 ] && continue; echo $i; done", "1\n3\n"),
        ("until false; do echo once; break; done", "once\n"),
        ("for a in 1 2; do for b in 1 2; do echo $a$b; continue 2; done; done", "11\n21\n"),
        ("if false; then echo a; elif true; then echo b; else echo c; fi", "b\n"),
        ("if [ -z \"$NONE\" ] && ! test 1 -gt 2; then echo ok; fi", "ok\n"),
        (
            "case $HOSTNAME in db-*) echo db;; web-[0-9]|www) echo web;; *) echo other;; esac",
            "web\n",
        ),
        ("true && echo a || echo b; false && echo c || echo d", "a\nd\n"),
        ("false; echo $?; (exit 7); echo $?; x=$(exit 3); echo $?; x=1; echo $?", "1\n7\n3\n0\n"),
        ("echo one two | tr a-z A-Z | cat", "ONE TWO\n"),
        ("printf 'b\\na\\n' | sort | head -n 1", "a\n"),
        ("cat <<EOF\nhi $HOSTNAME $((1+1)) $(echo x)\nEOF\necho after", "hi web-2 2 x\nafter\n"),
        ("cat <<'EOF'\nhi $HOSTNAME\nEOF", "hi $HOSTNAME\n"),
        ("cat <<-END | tr a-z A-Z\n\tin\n\tEND\n", "IN\n"),
        ("read a b; echo \"$b/$a\"; read c; echo $c", "line/a\nanother line\n"),
        ("while read -r l; do echo \"<$l>\"; done", "<a line>\n<another  line>\n"),
        ("f() { echo \"f $1\"; return 4; }; f x; echo $?", "f x\n4\n"),
        ("{ echo a; echo b; } | wc -l", "2\n"),
        ("x=1; (x=2; echo $x); echo $x; x=3 | true; echo $x", "2\n1\n1\n"),
        ("echo `echo a \\`echo b\\``", "a b\n"),
        ("echo $(( (1 + 2) * 3 ))\"$((2))\"", "92\n"),
        ("echo a >&2; echo b 2>&1; no-such-thing 2>/dev/null || echo c", "b\nc\n"),
        ("no-such-thing 2>&1", "sh: no-such-thing: not found\n"),
        ("A=1 env | grep ^A=; export B=2; env | grep ^B", "A=1\nB=2\n"),
        ("set -- x y; echo $1$2; eval 'echo $2'", "xy\ny\n"),
        ("trap 'echo bye' EXIT; echo hi", "hi\nbye\n"),
        ("echo \"a\\\"b\" 'c'\"'\"'d'", "a\"b c'd\n"),
        ("echo a\\\n b", "a b\n"),
        ("echo '*' \"*\" \\*", "* * *\n"),
        ("IFS=,; x=a,b,,c; for i in $x; do echo \"[$i]\"; done", "[a]\n[b]\n[]\n[c]\n"),
        ("/bin/sh -c 'echo $0 $1' name arg", "name arg\n"),
        ("exec echo last; echo never", "last\n"),
        ("command -v cat nothing-such; echo $?", "cat\n127\n"),
    ] {
        let (_, out, errors) = sh(script);
        assert_eq!(out, printed, "{script}\n{errors}");
    }
}

#[test]
fn scripts_end_with_a_code() {
    for (script, code) in [
        ("", 0),
        ("exit 3", 3),
        ("exit 256", 0),
        ("false", 1),
        ("! false", 0),
        ("set -e; false; exit 9", 1),
        ("set -e; false || true; if false; then :; fi; exit 9", 9),
        ("set -eu; echo $NONE; exit 9", 2),
        ("no-such-thing", 127),
        ("echo ${NONE:?is needed}; exit 9", 2),
        ("true | false", 1),
        ("false | true", 0),
        ("(exit 5) && exit 6", 5),
        ("if", 2),
        ("for", 2),
        ("echo 'a", 2),
        ("echo $((1/0)); exit 9", 2),
        ("sleep 5 &", 2),
        ("ls --color", 2),
        ("f() { f; }; f", 2),
        ("test 1 = 1 -a", 2),
    ] {
        let (found, _, errors) = sh(script);
        assert_eq!(found, code, "{script}\n{errors}");
        assert_eq!(errors.is_empty(), !matches!(code, 2 | 127), "{script}\n{errors}");
    }
    let nested = format!("{}true{}", "(".repeat(1000), ")".repeat(1000));
    assert_eq!(sh(&nested).0, 2);
}

#[test]
fn files_are_read_and_written() {
    let directory = tempdir();
    let run = |script: &str| sh_in(&directory, script, "");
    let (code, out, errors) =
        run("mkdir -p a/b; echo 1 > a/b/one.txt; echo 2 >> a/b/one.txt; echo 3 > a/two.txt
         cat a/b/one.txt; ls a; echo a/*.txt a/*/*.txt none*; cp a/two.txt c; mv c d; cat < d
         [ -f d ] && [ -d a ] && [ ! -e c ] && echo there; cd a/b; pwd | tail -c 5; cat ../two.txt
         rm -r ../../a; test -e /nothing; echo $?");
    assert_eq!(
        out, "1\n2\nb\ntwo.txt\na/two.txt a/b/one.txt none*\n3\nthere\n/a/b\n3\n1\n",
        "{errors}"
    );
    assert_eq!((code, errors.as_str()), (0, ""));
    let (code, _, errors) = run("cat missing");
    assert_eq!((code, errors.as_str()), (1, "cat: missing: No such file or directory\n"));
    let (code, _, errors) = run("echo x > no/such/place");
    assert_eq!(code, 1);
    assert_eq!(errors, "sh: can't create no/such/place: No such file or directory\n");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_script_ends_when_the_pod_is_asked_to() {
    SLEEPS.set(2);
    let (code, out, _) = sh("while true; do echo turn; sleep 1; done");
    assert_eq!((code, out.as_str()), (143, "turn\nturn\n"));
    SLEEPS.set(1);
    let (code, out, _) = sh("trap 'echo bye; exit 0' TERM; while true; do sleep 1; done");
    assert_eq!((code, out.as_str()), (0, "bye\n"));
    SLEEPS.set(u32::MAX);
}

fn tempdir() -> String {
    let name = format!("toolbox-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory.to_str().unwrap().to_owned()
}
