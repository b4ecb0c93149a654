"""Answers every request with the name of its pod: a workload in Python."""

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports import environment
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)


def pod_name() -> str:
    """The name that the pod was given, or its hostname, which is the same."""
    variables = dict(environment.get_environment())
    return variables.get("POD_NAME") or variables.get("HOSTNAME") or "a pod without a name"


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        path = (request.path_with_query() or "/").split("?")[0]
        text = "ok\n" if path == "/healthz" else f"Hello from Python in {pod_name()}\n"
        content = text.encode()
        headers = Fields.from_list(
            [
                ("content-type", b"text/plain; charset=utf-8"),
                ("content-length", str(len(content)).encode()),
            ]
        )
        response = OutgoingResponse(headers)
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        # The stream must be dropped before its body is finished.
        with body.write() as stream:
            stream.blocking_write_and_flush(content)
        OutgoingBody.finish(body, None)
