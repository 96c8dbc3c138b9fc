# SPDX-License-Identifier: MIT
"""
Connecting to a PostgreSQL server, with every timeout set.

Nothing waits for ever: the server ends what takes long, and a server that
does not answer at all is given up here.

What the protocol relies on is set once connected, whatever the role, the
database or the server have for defaults, and not asked for while connecting:
poolers drop that.
"""

from __future__ import annotations

import math
import re
import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

from ._pg_errors import SilentError, refused, typed
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
    #: Seconds that the server waits for a lock; inf for ever.
    lock_timeout: float = LOCK_TIMEOUT

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


#: What every transaction relies on, and no URL changes.
_FIXED = {
    "search_path": "pg_catalog,ndisbridge,pg_temp",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # How values are written, and what the server says of its indexes.
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "quote_all_identifiers": "off",
    # A commit that was not waited for is only warned of.
    "client_min_messages": "warning",
}
#: What the options of a URL may have otherwise.
_PREFERRED = {
    "synchronous_commit": "on",
    "statement_timeout": f"{STATEMENT_TIMEOUT}s",
    "lock_timeout": f"{LOCK_TIMEOUT}s",
    "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT}s",
    # The server too forgets a host that is gone, with what it locked.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{_SILENCE}s",
}
#: More of them, by the server that has them first.  A session is silent for
#: as long as it needs nothing, and its end would be taken for its host's.
_NEWER = {
    "idle_session_timeout": 140000,
    "transaction_timeout": 170000,
}
_OPTION = re.compile(r"(?:^|\s)(?:-c\s*|--)([\w.-]+)=((?:\\.|\S)*)")


def _asked(options: str) -> dict[str, str]:
    """Settings in libpq's ``options``: ``-c name=value --name=value``."""
    return {
        name.replace("-", "_").lower(): re.sub(r"\\(.)", r"\1", value)
        for name, value in _OPTION.findall(options)
    }


def _settings(target: Target, version: int) -> dict[str, str]:
    """What is set in a session on a server of a version."""
    own = {
        **_PREFERRED,
        **{name: "0" for name, first in _NEWER.items() if version >= first},
    }
    asked = _asked(str(target.parameters.get("options", "")))
    own.update((name, asked[name]) for name in own.keys() & asked.keys())
    return {**own, **_FIXED}


def _set(connection: Connection, target: Target) -> None:
    """In one round trip, and whatever the search path is until then."""
    settings = _settings(target, connection.info.server_version)
    calls = ", ".join(["pg_catalog.set_config(%s, %s, false)"] * len(settings))
    connection.execute(
        f"SELECT {calls}".encode(),
        [each for item in settings.items() for each in item],
    )
    ((milliseconds,),) = connection.execute(
        b"SELECT setting FROM pg_settings WHERE name = 'lock_timeout'"
    )
    connection.lock_timeout = int(milliseconds) / 1000 or math.inf


def connect(target: Target) -> Connection:
    """
    A connection with every timeout set, to what the URL's ``options`` say
    or else to ours.

    Raises:
        StoreError: It can't be had; the password is in no message.
    """
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
        # Text comes and goes as it is in Python.
        "client_encoding": "utf8",
    }
    try:
        connection = Connection.connect(
            "", autocommit=True, prepare_threshold=None, **parameters
        )
    except psycopg.Error as error:
        raise refused(error, target.name) from None
    except (UnicodeError, ValueError):
        raise StoreError("its URL is not valid", target.name) from None
    try:
        _set(connection, target)
    except BaseException as error:
        connection.close()
        if isinstance(error, psycopg.Error):
            raise typed(error, target.name) from error
        raise
    return connection
