"""A pytest plugin: writes what became of each test to the file CORACLE_VERDICTS, a line a test."""

import os

# What a later phase of a test may make of it: a test that passed can still fail in its teardown.
ORDER = ["passed", "skipped", "failed"]
outcomes = {}


def pytest_runtest_logreport(report):
    outcome = report.outcome
    if report.when != "call" and outcome == "passed":
        outcome = None
    if outcome == "rerun" or outcome is None:
        return
    known = outcomes.get(report.nodeid)
    if known is None or ORDER.index(outcome) > ORDER.index(known):
        outcomes[report.nodeid] = outcome


def pytest_sessionfinish():
    with open(os.environ["CORACLE_VERDICTS"], "w", encoding="utf-8") as file:
        file.writelines(f"{outcome} {name}\n" for name, outcome in outcomes.items())
