# SPDX-License-Identifier: MIT
"""
The identities that a proxy keeps: of miniport adapters and of filter
modules.

An adapter's key is the one that it is installed with; a filter module's is
``<adapter's key>/<name>-<NNNN>``.  Both last until they are uninstalled or
detached; that this has begun is noted in the identity first, so that the
next session completes what a crash has interrupted.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Collection, Iterator

from ..exceptions import (
    InUseError,
    InvalidParameterError,
    NdisTimeoutError,
)
from ..identity import Identity
from ..persistence import (
    IdentityConflictError,
    IdentityInUseError,
    IdentityRecord,
    NotRetainedError,
)
from ..provider import Provider

#: Attributes of identities.
_ROLE = "role"
_ADAPTER = "adapter"
_FILTER = "filter"
_LEAVING = "leaving"
#: Of an adapter: the filters that it has had, with the highest number of
#: each, so that theirs are found without reading all identities.
_FILTERS = "filters"
#: Seconds between two attempts to release what a handler still completes.
_PAUSE = 0.002


class Identities:
    """
    The identities of one proxy provider.

    Args:
        provider: Whose they are.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._session = provider.session

    # -- finding and making

    def adapter(
        self, key: str, if_type: int, *, if_index: bool, alias: str
    ) -> tuple[Identity, bool]:
        """
        The identity of an adapter, and whether it is new.

        Raises:
            IdentityConflictError: The key has another IfType, or is a
                filter module's.
        """
        if self._is_free(key):
            return self._make(
                key,
                if_type,
                if_index=if_index,
                alias=alias,
                attributes={_ROLE: _ADAPTER},
            ), True
        identity = self._provider.identity(key, if_type)
        if identity.record.attributes.get(_ROLE) != _ADAPTER:
            raise IdentityConflictError(f"{key!r} is not a miniport adapter")
        return identity, False

    def filter(
        self,
        adapter: Identity,
        name: str,
        attached: Collection[str],
        *,
        if_index: bool,
    ) -> tuple[Identity, bool]:
        """
        The identity of a filter module: the first of that name which is
        not attached, or a new one; and whether it is new.
        """
        if not name or "/" in name:
            raise InvalidParameterError(
                "the name of a filter is not empty, and has no slash"
            )
        for number in itertools.count():
            key = f"{adapter.key}/{name}-{number:04}"
            if key in attached:
                continue
            if self._is_free(key):
                self._note_filter(adapter, name, number)
                return self._make(
                    key,
                    adapter.if_type,
                    if_index=if_index,
                    alias="",
                    attributes={_ROLE: _FILTER, _ADAPTER: adapter.key},
                ), True
            found = self._provider.find(key)
            if (
                found is not None
                and found.record.attributes.get(_ROLE) == _FILTER
                and found.if_type == adapter.if_type
            ):
                return found, False
        raise AssertionError("numbers do not end")

    def _note_filter(self, adapter: Identity, name: str, number: int) -> None:
        """Note, durably, that a filter's number may be in use from now on."""
        attributes = adapter.record.attributes
        highest = json.loads(attributes.get(_FILTERS, "{}"))
        if highest.get(name, -1) < number:
            highest[name] = number
            adapter.update(
                attributes={**attributes, _FILTERS: json.dumps(highest)}
            )

    def _is_free(self, key: str) -> bool:
        """
        Whether a key has no identity; one that is being given up is
        released now.
        """
        found = self._provider.find(key)
        if found is not None and _LEAVING in found.record.attributes:
            self._give_up(found.record)
            found = None
        return found is None

    def _make(
        self,
        key: str,
        if_type: int,
        *,
        if_index: bool,
        alias: str,
        attributes: dict[str, str],
    ) -> Identity:
        return self._provider.identity(
            key, if_type, if_index=if_index, alias=alias, attributes=attributes
        )

    # -- giving up

    def leave(self, identity: Identity, *, idle: bool = False) -> None:
        """
        Note, durably, that an identity is being given up.

        Args:
            identity: The identity.
            idle: It is not registered here: whoever has it keeps it.

        Raises:
            IdentityInUseError: Another process has it registered.
        """
        found = self._provider.find(identity.key)
        if found is None or found.net_luid != identity.net_luid:
            return  # it has been released already, by who healed
        if idle and (holder := found.record.in_use_by) is not None:
            raise IdentityInUseError(
                f"{identity.key!r} is registered by {holder}", holder=holder
            )
        attributes = found.record.attributes
        if _LEAVING not in attributes:
            identity.update(attributes={**attributes, _LEAVING: "1"})

    def release(self, identity: Identity, deadline: float) -> None:
        """
        Release an identity whose interface is deregistered, or will be when
        the handlers that complete it return.

        Raises:
            NdisTimeoutError: They have not.
        """
        while True:
            try:
                self._session.release(identity)
                return
            except InUseError:
                if time.monotonic() >= deadline:
                    raise NdisTimeoutError(
                        f"a handler of {identity.key!r} is still running"
                    ) from None
            except (NotRetainedError, InvalidParameterError):
                return  # already: by who healed
            time.sleep(_PAUSE)

    def _give_up(self, record: IdentityRecord) -> list[IdentityRecord]:
        """
        Release an identity, after those of the filters if it is an
        adapter's: which were released, and not already.
        """
        records = [record]
        if record.attributes.get(_ROLE) == _ADAPTER:
            records = [*self.filters_of(record), record]
        done = []
        for each in records:
            with contextlib.suppress(NotRetainedError, InvalidParameterError):
                self._session.release(each)
                done.append(each)
        return done

    def filters_of(self, adapter: IdentityRecord) -> list[IdentityRecord]:
        """The filter modules of an adapter that the store knows."""
        highest = json.loads(adapter.attributes.get(_FILTERS, "{}"))
        found = [
            self._provider.find(f"{adapter.key}/{name}-{number:04}")
            for name, last in highest.items()
            for number in range(last + 1)
        ]
        return [
            each.record
            for each in found
            if each is not None
            and each.record.attributes.get(_ROLE) == _FILTER
        ]

    def _all(self) -> Iterator[IdentityRecord]:
        provider = self._provider
        return self._session.identities(
            compartment=provider.compartment, provider=provider.name
        )

    def heal(self) -> list[IdentityRecord]:
        """Complete what crashed processes have begun to give up."""
        return self._give_up_all(
            [each for each in self._all() if _LEAVING in each.attributes]
        )

    def release_absent(
        self, present: Collection[str], *, adapters: bool
    ) -> list[IdentityRecord]:
        """
        Release the filter modules, and if asked the adapters, that are not
        among the keys present, here or in another process.
        """
        return self._give_up_all(
            [
                each
                for each in list(self._all())
                if each.key not in present
                and each.in_use_by is None
                and (
                    each.attributes.get(_ROLE) == _FILTER
                    or (adapters and each.attributes.get(_ROLE) == _ADAPTER)
                )
            ]
        )

    def _give_up_all(
        self, records: list[IdentityRecord]
    ) -> list[IdentityRecord]:
        done: list[IdentityRecord] = []
        for record in records:
            with contextlib.suppress(IdentityInUseError, InUseError):
                done += self._give_up(record)
        return done
