//! Answers every path with the name of its pod; `/healthz` with "ok".

use std::sync::Once;

use coracle_guest::http::{Request, Response};

coracle_guest::http_handler!(answer);

/// An instance answers many requests; its first is worth a line in the log.
static FIRST: Once = Once::new();

fn answer(request: Request) -> Response {
    FIRST.call_once(|| println!("{} answers its first request", name()));
    match (request.method(), request.path()) {
        ("GET" | "HEAD", "/healthz") => Response::text(200, "ok\n"),
        ("GET" | "HEAD", _) => Response::text(200, format!("Hello from {}\n", name())),
        _ => Response::text(405, "only GET is answered here\n").with_header("allow", "GET, HEAD"),
    }
}

/// `POD_NAME` as a pod's `fieldRef` gives it, else the hostname, which is the pod's name too.
fn name() -> String {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    set("POD_NAME").or_else(|| set("HOSTNAME")).unwrap_or_else(|| "a pod without a name".to_owned())
}
