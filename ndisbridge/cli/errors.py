# SPDX-License-Identifier: MIT
"""
What went wrong, in one line and an exit code.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

import click

from ..exceptions import InvalidParameterError, NdisError
from ..persistence import StoreError
from ..proxy.linux.compartments import CompartmentError
from .streams import note, printable

#: Exit codes.  HOST: the kernel has refused, or an ifIndex is in conflict.
OK, NOT_FOUND, USAGE, STORE, HOST = range(5)
#: EX_SOFTWARE of <sysexits.h>: a fault of ours, not of the user.
INTERNAL = 70
#: What a shell makes of SIGINT.
INTERRUPTED = 130

#: Messages of several lines, without a word of the user's: what is missing,
#: or (click 8.2 and later) the whole help.
_LONG = (
    click.MissingParameter,
    getattr(click.exceptions, "NoArgsIsHelpError", click.MissingParameter),
)


class NotFound(click.ClickException):
    """Nothing is what the user named."""

    exit_code = NOT_FOUND


def explain(problem: Exception) -> int:
    """
    Say what is wrong; the exit code for it.

    ``NDISBRIDGE_DEBUG=1`` shows a traceback too.
    """
    if isinstance(problem, BrokenPipeError):
        return OK  # nobody wants to know more
    if isinstance(problem, click.exceptions.Abort):
        return INTERRUPTED
    if isinstance(problem, click.UsageError):
        if not isinstance(problem, _LONG):
            problem = click.UsageError(
                printable(problem.format_message()), problem.ctx
            )
        with contextlib.suppress(OSError):
            problem.show(sys.stderr)
        return USAGE
    if isinstance(problem, click.ClickException):
        note(f"ndisbridge: {problem.format_message()}")
        return problem.exit_code
    if os.environ.get("NDISBRIDGE_DEBUG"):
        traceback.print_exception(problem)
    code = _code(problem)
    if code == INTERNAL:
        note(
            f"ndisbridge: internal error: {type(problem).__name__}: "
            f"{problem} (NDISBRIDGE_DEBUG=1 shows where)"
        )
    else:
        note(f"ndisbridge: {problem}")
    return code


def _code(problem: Exception) -> int:
    if isinstance(problem, (StoreError, OSError)):
        return STORE
    if isinstance(problem, (CompartmentError, InvalidParameterError)):
        return USAGE
    if isinstance(problem, NdisError):
        return NOT_FOUND
    return INTERNAL
