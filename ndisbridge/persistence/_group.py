# SPDX-License-Identifier: MIT
"""
Group commit: changes of several threads that share a transaction.

A store has one writer at a time, and a durable commit waits for the disk.
So a thread that finds another one at it leaves its change in a queue, and
sleeps; who leads next does all that is there in one transaction, and wakes
everybody with what came of his own.  A thread that finds nobody leads at
once, and waits for no company.

First come, first to lead: who gives up at his deadline hands on to one whose
deadline is later.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from typing import Any

from .errors import StoreError, StoreUncertainError


class Change:
    """
    What one thread wants to be done.

    Args:
        run: Does several such parts, all or none, inside a transaction.
        part: This one, which may be done once more after a roll-back.
        durable: Whether it must be on the disk when the call returns.
    """

    __slots__ = (
        "durable",
        "error",
        "is_alone",
        "is_over",
        "outcome",
        "part",
        "run",
        "since",
        "taken",
        "wake",
    )

    def __init__(
        self, run: Callable[[list[Any]], None], part: Any, durable: bool
    ) -> None:
        self.run = run
        self.part = part
        self.durable = durable
        #: When it began to wait for its turn; 0 if it did not.
        self.since = 0.0
        #: Locked while its thread sleeps.
        self.wake: threading.Lock | None = None
        #: Nothing is left to do: it is done, refused, or of no interest.
        self.is_over = False
        self.error: BaseException | None = None
        #: Of one that leads: the others in its transaction, and what came
        #: of that: True, an error for all, or None where nothing was done.
        self.taken: list[Change] = []
        self.outcome: StoreError | bool | None = None
        #: It is about its own part: what fails now is nobody else's.
        self.is_alone = False

    def settle(self, outcome: StoreError | bool) -> None:
        """It ended as its transaction did, if it has not failed alone."""
        if isinstance(outcome, StoreError) and self.error is None:
            # Threads must not share one: each adds to its traceback.
            self.error = copy.copy(outcome)
            self.error.__cause__ = outcome.__cause__
        self.is_over = True

    def rouse(self) -> None:
        """Let its thread go on.  Twice is once."""
        if self.wake is not None and self.wake.locked():
            self.wake.release()


class Group:
    """
    Who leads, and who waits.

    Its lock is held for moments, never while anything is waited for.  An
    interrupt may come between any two steps; they are in such an order that
    :meth:`leave` can be called again, and puts all to rights.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._leader: Change | None = None
        self._queue: list[Change] = []

    def join(self, change: Change) -> None:
        """
        Return when the change is over, or is to lead.  Whatever comes of
        it, an interrupt too, :meth:`leave` must follow.
        """
        with self._mutex:
            if self._leader is None:
                self._leader = change
                return
            change.since = time.monotonic()
            change.wake = threading.Lock()
            change.wake.acquire()
            self._queue.append(change)
        change.wake.acquire()

    def take(self, leader: Change, *, durable: bool) -> list[Change]:
        """
        What waits and can go into the leader's transaction: one that is
        not flushed takes nothing durable.
        """
        if not self._queue:
            return []
        with self._mutex:
            queue = [each for each in self._queue if each is not leader]
            found = [each for each in queue if durable or not each.durable]
            leader.taken += found
            self._queue = [each for each in queue if each.durable > durable]
        return found

    def leave(self, change: Change) -> None:
        """
        A thread goes.  If it has led, those that it took are told, and the
        next one leads; if it waited, nobody does its change any more.
        """
        with self._mutex:
            change.is_over = True
            # Perhaps of another one, who was interrupted here: those that
            # he woke may leave before he comes back.
            leader = self._leader
            if leader is not None and leader.is_over:
                self._settle(leader)
            if change in self._queue:
                self._queue.remove(change)
            if leader is None or leader.is_over:
                self._leader = self._queue[0] if self._queue else None
            if self._leader is not None:
                self._leader.rouse()
                if self._leader in self._queue:
                    self._queue.remove(self._leader)

    def _settle(self, leader: Change) -> None:
        if leader.outcome is not None:
            for each in leader.taken:
                if not each.is_over:
                    each.settle(leader.outcome)
                each.rouse()
            return
        back = []
        for each in leader.taken:
            if not (each.is_over or each in self._queue):
                each.error = None
                back.append(each)
        self._queue = back + self._queue


class GroupCommit:
    """
    A store whose threads share transactions.

    It says how a transaction is made, and how one is gone back in.
    """

    path: str

    def _begin_group(self) -> None:
        """At the beginning, and in a child of ``fork()``."""
        self._group = Group()
        #: Of each thread: whether it is in a change.
        self._inside = threading.local()

    def _commit_together(self, leader: Change) -> None:
        """:meth:`_do_together`, in a transaction."""
        raise NotImplementedError

    def _try(self, changes: list[Change]) -> Exception | None:
        """
        Do changes of a kind, all or none, inside the transaction, and say
        why not.  What ends the transaction is raised.
        """
        raise NotImplementedError

    def _change(
        self, run: Callable[[list[Any]], None], part: Any, *, durable: bool
    ) -> None:
        """
        ``run([part])``, in one transaction with what other threads want at
        the same time.  It fails or is done alone, all the same.
        """
        if getattr(self._inside, "change", False):
            raise self._reentered()
        change = Change(run, part, durable)
        self._inside.change = True
        try:
            self._group.join(change)
            if not change.is_over:
                self._lead(change)
            self._group.leave(change)
        except BaseException:
            self._group.leave(change)
            raise
        finally:
            self._inside.change = False
        if change.error is not None:
            raise change.error

    def _reentered(self) -> StoreError:
        return StoreError(
            "this thread is changing it already: a handler of signals, or "
            "of garbage, may not",
            self.path,
        )

    def _lead(self, leader: Change) -> None:
        try:
            self._commit_together(leader)
            leader.outcome = True
        except StoreError as error:
            if not leader.is_alone:
                leader.outcome = error
            raise

    def _do_together(self, leader: Change) -> None:
        # It is the first, and so needs no savepoint: nobody is lost with it.
        leader.outcome = None
        leader.is_alone = True
        leader.run([leader.part])
        leader.is_alone = False
        # If the transaction had to be begun again, there are some already.
        taken = [each for each in leader.taken if not each.is_over]
        while taken or (
            taken := self._group.take(leader, durable=leader.durable)
        ):
            self._ride(taken)
            taken = []
        # Unless it is told otherwise, nobody can tell.
        leader.outcome = StoreUncertainError(
            "who committed it for all was interrupted, and nobody can tell "
            "whether the change is kept: look it up",
            self.path,
        )

    def _ride(self, changes: list[Change]) -> None:
        """
        Do changes inside another one's transaction: those of a kind at
        once, which is cheaper, and each alone if that fails.
        """
        kinds: dict[Any, list[Change]] = {}
        for each in changes:
            each.error = None
            kinds.setdefault(each.run, []).append(each)
        for alike in kinds.values():
            if len(alike) == 1 or self._try(alike) is not None:
                for each in alike:
                    each.error = self._try([each])
