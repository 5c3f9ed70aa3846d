"""What holds for every test: one country for a session, and no skip that nobody sees.

A test that is skipped has proved nothing. On a developer's machine that is a line in the summary; where everything must
run, `HUZHENG_FAIL_ON_SKIP=1` makes it a failure that shows its reason.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests.country import Stage, light_folder, open_stage

FAIL_ON_SKIP = "HUZHENG_FAIL_ON_SKIP"


def _must_run() -> bool:
    return os.environ.get(FAIL_ON_SKIP) == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Turn the skip of a test into its failure. An expected failure is none of ours: its test did run."""
    report = yield
    if _must_run() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and {FAIL_ON_SKIP}=1 lets no test be: {_why(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """The same for a file that skips itself while it is read."""
    report = yield
    if _must_run() and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skips itself, and {FAIL_ON_SKIP}=1 lets no file: {_why(report.longrepr)}"
    return report


def _why(longrepr: Any) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """A program's entry point sends what libraries log to its own log, for the whole process; the next test must not
    write into a stream that is closed by then."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def _stage() -> Iterator[Stage]:
    with light_folder() as folder, open_stage(folder) as stage:
        yield stage


@pytest.fixture
def stage(_stage: Stage) -> Stage:
    """The country as on its first day: nobody has shown anything yet, every letter arrives, the clock stands at START."""
    _stage.reset()
    return _stage
