# SPDX-License-Identifier: MIT
"""Isolated subinterpreters: refused, by an ImportError that says why."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap

import pytest

MODULE = next(
    (
        name
        for name in ("_interpreters", "_xxsubinterpreters")
        if importlib.util.find_spec(name)
    ),
    None,
)

pytestmark = pytest.mark.skipif(
    MODULE is None or sys.version_info < (3, 12),
    reason="this Python has no isolated subinterpreters",
)


def run(text: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, with the module as `interpreters`."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"import {MODULE} as interpreters\n" + textwrap.dedent(text),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.smoke
@pytest.mark.parametrize("main_first", [False, True])
def test_import_in_an_isolated_one(main_first: bool) -> None:
    """The import is refused cleanly; the main interpreter goes on."""
    if not main_first and sys.version_info < (3, 13):
        pytest.skip("Python 3.12 crashes here, with its own _decimal too")
    done = run(
        f"""
        if {main_first}:
            import ndisbridge
        made = interpreters.create()
        text = '''if True:
            try:
                import ndisbridge
            except ImportError as error:
                print("refused:", error, flush=True)
            else:
                print("imported", flush=True)
        '''
        failed = interpreters.run_string(made, text)
        assert failed is None, failed
        interpreters.destroy(made)
        import ndisbridge
        with ndisbridge.Session() as session:
            session.allocate_net_luid_index(6)
        print("main goes on")
        """
    )
    assert done.returncode == 0, done.stderr
    refused, goes_on = done.stdout.splitlines()
    assert refused.startswith("refused:")
    assert "subinterpreters" in refused
    assert goes_on == "main goes on"
