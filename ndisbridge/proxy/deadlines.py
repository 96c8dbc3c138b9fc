# SPDX-License-Identifier: MIT
"""
A deadline for drivers in Python: their OID requests run on threads of the
proxy's, and the asker waits no longer than it.

A thread that a driver holds beyond the deadline is left to it; when the
driver returns at last, its answer is dropped and the thread serves again.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from ..exceptions import NdisTimeoutError, ResourcesError

#: Threads that drivers may hold at once.
_MOST = 256
#: Seconds after which a thread without work ends.
_IDLE = 5.0


class _Task:
    __slots__ = ("done", "error", "function", "result")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.function()
        except BaseException as error:
            self.error = error
        self.done.set()


class Workers:
    """
    Threads that serve OID requests, made when they are needed.

    Daemon threads: a driver that never returns does not keep the process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[_Task]] = []
        self._count = 0

    def run(self, function: Callable[[], Any], timeout: float) -> Any:
        """
        Run a function on another thread.

        Returns:
            What it returned.

        Raises:
            NdisTimeoutError: It was not done within ``timeout`` seconds.
            ResourcesError: Drivers hold too many threads already.
            BaseException: What it raised.
        """
        task = self.start(function)
        if not task.done.wait(timeout):
            raise NdisTimeoutError(
                f"a driver has not answered within {timeout} s"
            )
        error, task.error = task.error, None
        if error is not None:
            raise error
        return task.result

    def start(self, function: Callable[[], Any]) -> _Task:
        """Begin to run a function on another thread."""
        task = _Task(function)
        with self._lock:
            if self._idle:
                self._idle.pop().put(task)
                return task
            if self._count >= _MOST:
                raise ResourcesError(
                    f"drivers hold {self._count} threads beyond their deadline"
                )
            self._count += 1
        # Not as an argument: a thread keeps its arguments until it ends.
        tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        tasks.put(task)
        threading.Thread(
            target=self._serve,
            args=(tasks,),
            name="ndisbridge OID requests",
            daemon=True,
        ).start()
        return task

    def _serve(self, tasks: queue.SimpleQueue[_Task]) -> None:
        task: _Task | None = tasks.get()
        while task is not None:
            task.run()
            task = None  # what it holds is nobody's any more
            with self._lock:
                self._idle.append(tasks)
            task = self._next(tasks)

    def _next(self, tasks: queue.SimpleQueue[_Task]) -> _Task | None:
        try:
            return tasks.get(timeout=_IDLE)
        except queue.Empty:
            with self._lock:
                if tasks in self._idle:
                    self._idle.remove(tasks)
                    self._count -= 1
                    return None
        return tasks.get()  # one was put there at the last moment
