# SPDX-License-Identifier: MIT
"""
Which tests may run in several threads at once, under pytest-run-parallel.

Every thread runs the whole test.  A session or a store of its own is made for
each; what else the tests share makes them run in one thread, each for a
reason that is given here.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import ndisbridge as ndis

_PROCESSES = "starts programs, which are what it tests"
_NAMESPACES = "network namespaces and links are the machine's"

_ONE_MODEL = "its model is of one thread; more would only repeat it"

#: Modules that run in one thread.
MODULES = {
    "test_build": _PROCESSES,
    "test_builtins": "memory that fails is the process's",
    "test_cli": _PROCESSES,
    "test_conformance_suite": "its rules fork",
    "test_contract": _PROCESSES,
    "test_embedding": _PROCESSES,
    "test_examples_mux": _PROCESSES,
    "test_examples_stores": _PROCESSES,
    "test_follow_command": _NAMESPACES,
    "test_fork": "fork() is the process's",
    "test_hostile": "limits and rights are the process's",
    "test_linux": _NAMESPACES,
    "test_live": _NAMESPACES,
    "test_namespaces": _NAMESPACES,
    "test_pinning": _NAMESPACES,
    "test_proxy_crash": _PROCESSES,
    "test_proxy_machine": _ONE_MODEL,
    "test_readme": _PROCESSES,
    "test_stack_command": _NAMESPACES,
    "test_state_machine": _ONE_MODEL,
    "test_store": "it forks, kills, and looks at all there is in the process",
    "test_subinterpreters": "interpreters are the process's",
    "test_threads": "has threads of its own, and a watchdog for all",
    "test_tools": _PROCESSES,
    "test_watch_command": _NAMESPACES,
}
#: Fixtures whose tests run in one thread.
FIXTURES = {
    "core": "it is of one session",
    "at_each_step": "it traces, and changes functions for all threads",
    "capsys": "standard output is the process's",
    "monkeypatch": "it changes what all threads see",
    "new_namespace": _NAMESPACES,
    "server": "one database for all",
    "proof": _PROCESSES,
}
#: Fixtures that each thread has for itself.
OWN = {"session", "store_path", "tmp_path"}


def _reason(item: pytest.Function) -> str | None:
    """Why a test cannot run in several threads; None if it can."""
    name = item.module.__name__.rpartition(".")[2]
    if name in MODULES:
        return MODULES[name]
    for fixture in item.fixturenames:
        if fixture in FIXTURES:
            return FIXTURES[fixture]
    for fixture, definitions in item._fixtureinfo.name2fixturedefs.items():
        if fixture not in OWN and OWN & set(definitions[-1].argnames):
            return f"its {fixture} is of one session or store"
    return None


def _with_its_own(test: Callable[..., Any]) -> Callable[..., Any]:
    """The test, with a session and a store of its own in every thread."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with ExitStack() as stack:
            if "session" in kwargs:
                kwargs["session"] = stack.enter_context(ndis.Session())
            if "store_path" in kwargs:
                given: Path = kwargs["store_path"]
                place = kwargs.get("tmp_path")
                if place is None:
                    place = given.parent.parent / f"{threading.get_ident()}"
                    place.mkdir(exist_ok=True)
                kwargs["store_path"] = place / given.parent.name / given.name
            test(*args, **kwargs)

    return run


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Before the plugin makes threads of it."""
    config = item.config
    if config.getoption("parallel_threads", None) in {None, 1, "1"}:
        return
    assert isinstance(item, pytest.Function)
    reason = _reason(item)
    if reason is not None:
        item.add_marker(pytest.mark.thread_unsafe(reason=reason))
    elif {"session", "store_path"} & set(item.fixturenames):
        item.obj = _with_its_own(item.obj)
