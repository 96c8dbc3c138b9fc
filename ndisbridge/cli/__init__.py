# SPDX-License-Identifier: MIT
"""
The command ``ndisbridge``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

try:
    import click
    import rich  # noqa: F401
except ImportError as error:  # pragma: no cover
    sys.exit(
        f"ndisbridge: {error.name} is missing: pip install 'ndisbridge[cli]'"
    )

from .._native import library_version
from ..exceptions import InvalidParameterError, NdisError
from ..persistence import StoreError
from ..proxy.compartments import CompartmentError
from . import identities, live, tools

#: Exit codes.
OK, NOT_FOUND, USAGE, STORE = range(4)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 not found, 2 usage, 3 store.",
)
@click.version_option(library_version(), prog_name="ndisbridge")
def main() -> None:
    """Interface identities that outlive reboots, renames and crashes.

    ID is any form of identity: a name (eth0), an ifIndex (4), a NET_LUID
    (0x0006000004000000, decimal, or ethernet_4), an interface GUID, a key or
    an alias.
    """


for _command in (
    identities.adopt,
    identities.list_,
    identities.show,
    identities.reserve,
    identities.release,
    live.query,
    live.stack,
    tools.convert,
    tools.store,
):
    main.add_command(_command)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what completes the command in a shell.

    \b
    Example:
      ndisbridge completion bash > /etc/bash_completion.d/ndisbridge
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    made = found(main, {}, "ndisbridge", "_NDISBRIDGE_COMPLETE")
    # Not made by source(), which asks bash for its version.
    click.echo(made.source_template % made.source_vars())


def _fail(problem: BaseException, code: int) -> NoReturn:
    click.echo(f"ndisbridge: {problem}", err=True)
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """
    Run the command and exit: no traceback for what a user can mend.

    ``NDISBRIDGE_DEBUG=1`` shows it all the same.
    """
    try:
        main.main(arguments, "ndisbridge", standalone_mode=False)
        sys.stdout.flush()
    except Exception as problem:
        if os.environ.get("NDISBRIDGE_DEBUG"):
            raise
        _explain(problem)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(OK)


def _explain(problem: Exception) -> NoReturn:
    if isinstance(problem, click.exceptions.Abort):
        _fail(click.ClickException("stopped"), 130)
    if isinstance(problem, click.exceptions.Exit):
        sys.exit(problem.exit_code)
    if isinstance(problem, click.UsageError):
        problem.show()
        sys.exit(USAGE)
    if isinstance(problem, click.ClickException):
        _fail(Exception(problem.format_message()), problem.exit_code)
    if isinstance(problem, BrokenPipeError):
        # Nobody reads on; what is left to flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(OK)
    if isinstance(problem, (StoreError, OSError)):
        _fail(problem, STORE)
    if isinstance(problem, (CompartmentError, InvalidParameterError)):
        _fail(problem, USAGE)
    if isinstance(problem, (LookupError, NdisError)):
        _fail(problem, NOT_FOUND)
    raise problem
