# SPDX-License-Identifier: MIT
"""
Connecting to a PostgreSQL server, with every timeout set.

Nothing waits for ever: the server ends what takes long, and a server that
does not answer at all is given up here.
"""

from __future__ import annotations

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

from ._pg_errors import SilentError, refused
from ._pg_url import Target
from .errors import StoreError

_T = TypeVar("_T")

#: Seconds that the server may take for a statement, a lock, and between two
#: statements of a transaction.
STATEMENT_TIMEOUT = 30
LOCK_TIMEOUT = 5
IDLE_TIMEOUT = 30
CONNECT_TIMEOUT = 5
#: Seconds without any sign of the server before it is given up.
_SILENCE = 20
#: What the server gets on top of its own timeout before it is called silent.
_GRACE = 5


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """One that does not wait for a server that has stopped answering."""

    #: Seconds; inf where the server rightly says nothing.
    patience: float = STATEMENT_TIMEOUT + _GRACE

    def wait(self, gen: PQGen[_T], *args: Any, **options: Any) -> _T:
        deadline = time.monotonic() + self.patience
        try:
            return super().wait(_until(deadline, gen), *args, **options)
        except SilentError:
            # Whatever is tried with it now is not waited for again.
            self.patience = 0
            raise


def _until(deadline: float, gen: PQGen[_T]) -> PQGen[_T]:
    """The same, until the deadline; it is resumed several times a second."""
    try:
        wanted = next(gen)
        while True:
            wanted = gen.send((yield wanted))
            if time.monotonic() > deadline:
                raise SilentError("it does not answer")
    except StopIteration as end:
        found: _T = end.value
        return found


def connect(target: Target) -> Connection:
    """
    A connection with every timeout set; what the URL says comes last.

    Raises:
        StoreError: It can't be had; the password is in no message.
    """
    settings = {
        "search_path": "pg_catalog,ndisbridge,pg_temp",
        "synchronous_commit": "on",
        "default_transaction_isolation": r"read\ committed",
        "statement_timeout": f"{STATEMENT_TIMEOUT}s",
        "lock_timeout": f"{LOCK_TIMEOUT}s",
        "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT}s",
        # The server too forgets a host that is gone, with what it locked.
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": f"{_SILENCE}s",
    }
    options = " ".join(f"-c {name}={each}" for name, each in settings.items())
    parameters: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT,
        "tcp_user_timeout": _SILENCE * 1000,
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "application_name": "ndisbridge",
        "target_session_attrs": "read-write",
        **target.parameters,
        "options": f"{options} {target.parameters.get('options', '')}",
        # Text comes and goes as it is in Python.
        "client_encoding": "utf8",
    }
    try:
        return Connection.connect(
            "", autocommit=True, prepare_threshold=None, **parameters
        )
    except psycopg.Error as error:
        raise refused(error, target.name) from None
    except (UnicodeError, ValueError):
        raise StoreError("its URL is not valid", target.name) from None
