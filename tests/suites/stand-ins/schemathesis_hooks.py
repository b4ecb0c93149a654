"""Hooks of schemathesis: a watch would wait for events, so none is asked for."""

import schemathesis


@schemathesis.hook
def map_query(context, query):
    if query:
        query.pop("watch", None)
        query.pop("timeoutSeconds", None)
    return query
