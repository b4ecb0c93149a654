"""The command line of pytest-kind."""


def pytest_addoption(parser):
    group = parser.getgroup("kind")
    group.addoption("--keep-cluster", action="store_true", help="Accepted; the cluster is kept.")
