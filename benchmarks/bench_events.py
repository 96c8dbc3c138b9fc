# SPDX-License-Identifier: MIT
"""Events: what publishing costs with and without a reader, and how soon one
is told."""

from __future__ import annotations

import asyncio
import threading

import pytest

import ndisbridge as ndis
from ndisbridge import EventKind, _native

INTERFACES = 1000


class Publisher:
    """One call that changes the MTU of 1,000 interfaces, each time."""

    def __init__(self, session) -> None:
        provider = session.register_provider("bench")
        self._core = session._core
        self._net_luids = [
            int(
                provider.register_interface(
                    ndis.NetLuid.make(6, session.allocate_net_luid_index(6))
                ).net_luid
            )
            for _ in range(INTERFACES)
        ]
        self._values = _native.ffi.new("ndisbridge_published *")
        self._values.fields = 1 << 4  # if_mtu
        self.mtu = 0
        self()

    def __call__(self) -> int:
        self.mtu += 1
        self._values.information.if_mtu = self.mtu
        return self._core.publish_many(self._net_luids, self._values, 0)


@pytest.mark.benchmark(group="publish a change of 1,000 interfaces, one call")
class TestPublish:
    def check(self, benchmark, session, readers: int) -> None:
        publish = Publisher(session)
        streams = [session.events(initial=False) for _ in range(readers)]
        assert benchmark(publish) == INTERFACES
        for stream in streams:
            told = []
            while (event := stream.get(0)) is not None:
                told.append(event)
            # Nobody has read: all but the last 1,024 are lost, and counted.
            assert len(told) == 1024
            assert stream.missed + 1024 == (publish.mtu - 1) * INTERFACES
            stream.close()

    def test_nobody_listens(self, benchmark, session) -> None:
        self.check(benchmark, session, 0)

    def test_one_listens(self, benchmark, session) -> None:
        self.check(benchmark, session, 1)

    def test_eight_listen(self, benchmark, session) -> None:
        self.check(benchmark, session, 8)


@pytest.mark.benchmark(group="from publish() to the reader")
class TestLatency:
    """With the way back to who has published, for which it waits."""

    def interface(self, session):
        provider = session.register_provider("bench")
        return provider.register_interface(
            ndis.NetLuid.make(6, session.allocate_net_luid_index(6))
        )

    def test_same_thread(self, benchmark, session) -> None:
        interface = self.interface(session)
        mtu = 0
        with session.events(initial=False) as stream:

            def once() -> ndis.Event:
                nonlocal mtu
                mtu += 1
                interface.publish(mtu=mtu)
                return stream.get()

            assert benchmark(once).kind is EventKind.PARAMETER
            assert stream.get(0) is None

    def test_callback(self, benchmark, session) -> None:
        interface = self.interface(session)
        told = threading.Semaphore(0)
        mtu = 0

        def once() -> bool:
            nonlocal mtu
            mtu += 1
            interface.publish(mtu=mtu)
            return told.acquire(timeout=10)

        with session.subscribe(lambda _: told.release(), initial=False):
            assert benchmark(once)
        assert not told.acquire(blocking=False)

    def test_asyncio(self, benchmark, session) -> None:
        interface = self.interface(session)
        loop = asyncio.new_event_loop()
        mtu = 0
        with session.events(initial=False) as stream:

            async def publish_and_read() -> ndis.Event:
                nonlocal mtu
                mtu += 1
                read = asyncio.ensure_future(stream.__anext__())
                await asyncio.sleep(0)
                interface.publish(mtu=mtu)
                return await read

            def once() -> ndis.Event:
                return loop.run_until_complete(publish_and_read())

            assert benchmark(once).kind is EventKind.PARAMETER
        loop.close()

    def test_floor_queue(self, benchmark) -> None:
        """A semaphore to another thread and one back."""
        there, back = threading.Semaphore(0), threading.Semaphore(0)
        over = False

        def answer() -> None:
            while True:
                there.acquire()
                if over:
                    return
                back.release()

        thread = threading.Thread(target=answer)
        thread.start()

        def once() -> bool:
            there.release()
            return back.acquire(timeout=10)

        assert benchmark(once)
        over = True
        there.release()
        thread.join()


@pytest.mark.benchmark(group="begin with 10,000 interfaces")
class TestInitial:
    def test_ours(self, benchmark, session) -> None:
        provider = session.register_provider("bench")
        for _ in range(10_000):
            provider.register_interface(
                ndis.NetLuid.make(6, session.allocate_net_luid_index(6))
            )

        def once() -> int:
            with session.events() as stream:
                count = 0
                while stream.get(0) is not None:
                    count += 1
                return count

        assert benchmark(once) == 10_000

    def test_table(self, benchmark, session) -> None:
        """The whole table, row by row, which polling would do."""
        provider = session.register_provider("bench")
        for _ in range(10_000):
            provider.register_interface(
                ndis.NetLuid.make(6, session.allocate_net_luid_index(6))
            )

        def once() -> int:
            return len([*session.interface_table(2)])

        assert benchmark(once) == 10_000
