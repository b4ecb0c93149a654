use super::*;

fn set(json: &str) -> FieldSet<'_> {
    FieldSet::read(json.as_bytes()).unwrap()
}

fn text(set: &FieldSet<'_>) -> String {
    let mut text = String::new();
    set.write(&mut text);
    text
}

#[test]
fn canonical() {
    for (read, written) in [
        ("{}", "{}"),
        (r#"{"f:b":{},"f:a":{}}"#, r#"{"f:a":{},"f:b":{}}"#),
        (r#"{"f:a":{".":{},"f:b":{}}}"#, r#"{"f:a":{".":{},"f:b":{}}}"#),
        (r#"{"f:a":{".":{}}}"#, r#"{"f:a":{}}"#),
        // Of an element that nobody knows nothing is kept.
        (r#"{"x:a":{},"f:b":{"x:c":{}}}"#, r#"{"f:b":{}}"#),
        (
            r#"{"i:1":{},"v:1":{},"k:{\"b\":1,\"a\":\"x\"}":{},"f:z":{}}"#,
            r#"{"f:z":{},"k:{\"a\":\"x\",\"b\":1}":{},"v:1":{},"i:1":{}}"#,
        ),
        (r#"{"f:a":{"f:b":{}},"f:a":{"f:c":{}}}"#, r#"{"f:a":{"f:b":{},"f:c":{}}}"#),
        (r#"{"f:a\nb\"":{}}"#, r#"{"f:a\nb\"":{}}"#),
    ] {
        assert_eq!(text(&set(read)), written, "{read}");
    }
    for bad in ["", "[]", "1", r#"{"f:a":1}"#, r#"{"fa":{}}"#, r#"{"k:x":{}}"#, "{} {}"] {
        assert!(FieldSet::read(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn operations() {
    let one = set(r#"{"f:a":{".":{},"f:b":{},"f:c":{}},"f:d":{}}"#);
    let other = set(r#"{"f:a":{"f:b":{}},"f:d":{},"f:e":{}}"#);
    assert_eq!(text(&one.union(&other)), r#"{"f:a":{".":{},"f:b":{},"f:c":{}},"f:d":{},"f:e":{}}"#);
    assert_eq!(text(&one.intersection(&other)), r#"{"f:a":{"f:b":{}},"f:d":{}}"#);
    assert_eq!(text(&one.difference(&other)), r#"{"f:a":{".":{},"f:c":{}}}"#);
    // A parent is taken away without its children, or with them.
    let parent = set(r#"{"f:a":{}}"#);
    assert_eq!(text(&one.difference(&parent)), r#"{"f:a":{"f:b":{},"f:c":{}},"f:d":{}}"#);
    assert_eq!(text(&one.recursive_difference(&parent)), r#"{"f:d":{}}"#);
    assert_eq!(text(&parent.difference(&other)), r#"{"f:a":{}}"#);
}

#[test]
fn members_and_paths() {
    let one = set(r#"{"f:a":{"k:{\"name\":\"x\"}":{".":{},"f:b":{}}},"f:c":{}}"#);
    let shown: Vec<String> =
        one.paths().iter().map(|path| path.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(shown, [".c", r#".a[name="x"]"#, r#".a[name="x"].b"#]);
    assert!(one.paths().iter().all(|path| one.has(path)));
    assert!(!one.has(&[Element::field("a")]) && !one.has(&[]));
    let mut again = FieldSet::default();
    one.paths().into_iter().for_each(|path| again.insert(path));
    assert_eq!(again, one);
    assert_eq!(
        text(&FieldSet::of_fields(&[&["b", "c"], &["a"]])),
        r#"{"f:a":{},"f:b":{"f:c":{}}}"#
    );
}
