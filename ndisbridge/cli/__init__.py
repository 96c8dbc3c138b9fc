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
from . import (
    adopting,
    identities,
    live,
    setting,
    stacking,
    store,
    streams,
    tools,
    watching,
)
from .errors import INTERRUPTED, OK, USAGE, explain

_COMPLETE = "_NDISBRIDGE_COMPLETE"


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 not found, 2 usage, 3 store, 4 the kernel "
    "has refused or an ifIndex is in conflict, 70 a fault of the command "
    "itself.",
)
@click.version_option(library_version(), prog_name="ndisbridge")
def main() -> None:
    """Interface identities that outlive reboots, renames and crashes.

    ID is any form of identity: a name (eth0), an ifIndex (4), a NET_LUID
    (0x0006000004000000, decimal, or ethernet_4), an interface GUID, a key or
    an alias.
    """


for _command in (
    adopting.adopt,
    identities.list_,
    identities.show,
    identities.reserve,
    identities.release,
    live.query,
    setting.set_,
    stacking.stack,
    watching.watch,
    tools.convert,
    store.store,
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
    made = found(main, {}, "ndisbridge", _COMPLETE)
    # Not made by source(), which asks bash for its version.
    streams.write(made.source_template % made.source_vars())


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """
    Run the command and exit: no traceback for what a user can mend.
    """
    try:
        streams.prepare()
        code = _attempt(sys.argv[1:] if arguments is None else arguments)
        streams.settle()
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def _attempt(arguments: Sequence[str]) -> int:
    try:
        return _invoke(arguments)
    except click.exceptions.Exit as done:
        return done.exit_code
    except Exception as problem:
        return explain(problem)


def _invoke(arguments: Sequence[str]) -> int:
    # What click's own main() does, but for its view of broken pipes.
    instruction = os.environ.get(_COMPLETE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(main, {}, "ndisbridge", _COMPLETE, instruction)
    for each in arguments:
        if not streams.is_utf8(each):
            streams.note(f"ndisbridge: {each!r} is not valid UTF-8")
            return USAGE
    with main.make_context("ndisbridge", list(arguments)) as context:
        main.invoke(context)
    return OK
