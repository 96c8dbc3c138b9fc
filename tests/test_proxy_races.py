# SPDX-License-Identifier: MIT
"""The proxy on many threads: requests while its stacks change."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import ndisbridge as ndis
from ndisbridge import Oid
from ndisbridge.proxy import ProxyProvider

VENDOR = int(Oid.GEN_VENDOR_ID)
SECONDS = 1.0


class Driver:
    def __init__(self) -> None:
        self.halted = False

    def oid_request(self, request: Any) -> int:
        assert not self.halted, "asked after it was halted"
        return 7

    def halt(self) -> None:
        self.halted = True


class Checking:
    """A filter module that notices requests before attach or after detach."""

    def __init__(self) -> None:
        self.attached = False
        self.wrong = 0

    def attach(self, module: Any, parameters: Any) -> None:
        self.attached = True

    def oid_request(self, request: Any) -> Any:
        self.wrong += not self.attached
        value = request.forward()
        self.wrong += not self.attached
        return value

    def detach(self) -> None:
        self.attached = False


@pytest.fixture
def proxy(session):
    with ProxyProvider(session, wait_timeout=30) as made:
        yield made


def run(
    *functions: Callable[[Callable[[], bool]], None],
    enough: Callable[[], object] = lambda: True,
) -> None:
    """
    Run functions on threads of their own until time is up; on a busy machine
    until there is enough.
    """
    deadline = time.monotonic() + SECONDS
    errors: list[BaseException] = []

    def more() -> bool:
        late = time.monotonic() - deadline
        return (late < 0 or (late < 60 and not enough())) and not errors

    def body(function: Callable[[Callable[[], bool]], None]) -> None:
        try:
            function(more)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=body, args=(each,)) for each in functions
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
        assert not each.is_alive()
    if errors:
        raise errors[0]


def test_requests_while_filters_come_and_go(session, proxy) -> None:
    """
    Each request is answered; no filter module sees one outside of its life;
    the ends of the chain that readers see are always right.
    """
    adapter = proxy.install("eth", Driver())
    top = adapter.attach(object(), "top")
    filters: list[Checking] = []
    asked = [0]

    def ask(more: Callable[[], bool]) -> None:
        while more():
            assert adapter.query(VENDOR) == 7
            asked[0] += 1

    def change(more: Callable[[], bool]) -> None:
        source = random.Random(threading.get_ident())
        while more():
            each = Checking()
            filters.append(each)
            below = source.choice(adapter.filters)  # never above `top`
            try:
                module = adapter.attach(each, "f", below=below)
            except ndis.InvalidStateError:
                continue  # detached by now
            module.detach()

    def read(more: Callable[[], bool]) -> None:
        ends = (top.if_index, adapter.if_index)
        while more():
            for if_index in ends:
                bound, _, lowest, _ = session.query_binding_if_index(if_index)
                assert (bound, lowest) == ends
            # From the top a way leads down to the adapter, without a gap.
            below: dict[int, set[int]] = {}
            for higher, lower in session.if_stack_table().tolist():
                below.setdefault(higher, set()).add(lower)
            reached = {ends[0]}
            while ends[1] not in reached:
                further = set().union(*(below.get(i, set()) for i in reached))
                assert further - reached, below
                reached |= further

    run(ask, ask, change, change, read, enough=lambda: len(filters) > 4)
    assert asked[0] > 10
    assert len(filters) > 4
    assert sum(each.wrong for each in filters) == 0
    assert adapter.filters == (top,)
    assert session.interface_count == 2


def test_detaching_waits_for_who_is_inside(session) -> None:
    """
    With a deadline; meanwhile nobody new comes in, and detaching again goes
    on.  A request that is stuck in another module keeps nobody.
    """
    inside, release = threading.Event(), threading.Event()

    class Holding(Checking):
        def oid_request(self, request: Any) -> Any:
            if request.oid == VENDOR:
                inside.set()
                release.wait(60)
            return super().oid_request(request)

    with ProxyProvider(session, wait_timeout=0.05) as proxy:
        adapter = proxy.install("eth", Driver())
        below = adapter.attach(Checking(), "below")
        holding = adapter.attach(Holding(), "holding")
        above = adapter.attach(Checking(), "above")
        answers: list[Any] = []
        thread = threading.Thread(
            target=lambda: answers.append(adapter.query(VENDOR))
        )
        thread.start()
        assert inside.wait(60)
        below.detach()  # the request has not come as far
        for each in (holding, above):
            with pytest.raises(ndis.NdisTimeoutError):
                each.detach()
        assert adapter.query(VENDOR) == 7  # past those that are leaving
        with pytest.raises(ndis.NdisTimeoutError):
            adapter.uninstall()
        release.set()
        thread.join()
        assert answers == [7]
        deadline = time.monotonic() + 60
        while proxy.adapters and time.monotonic() < deadline:
            try:
                adapter.uninstall(1)
            except ndis.NdisTimeoutError:
                continue
        assert proxy.adapters == {}
        for each in (below, holding, above):
            assert each.driver.wrong == 0
        assert adapter.driver.halted
        assert list(session.identities()) == []


def test_uninstalling_during_requests(session, proxy) -> None:
    """Askers get an answer, or are told that it is gone."""
    adapters: list[Any] = [None]
    outcomes = {"answered": 0, "gone": 0}

    def ask(more: Callable[[], bool]) -> None:
        while more():
            adapter = adapters[0]
            if adapter is None:
                time.sleep(0.001)
                continue
            try:
                assert adapter.query(VENDOR) == 7
                outcomes["answered"] += 1
            except ndis.InterfaceNotFoundError:
                outcomes["gone"] += 1

    def churn(more: Callable[[], bool]) -> None:
        while more():
            adapters[0] = proxy.install("eth", Driver())
            adapters[0].attach(Checking(), "f")
            time.sleep(0.001)
            adapters[0].uninstall()

    run(ask, ask, churn, enough=lambda: all(outcomes.values()))
    assert outcomes["answered"] and outcomes["gone"]
    assert session.interface_count == 0
    assert list(session.identities()) == []


def test_many_threads_install_and_attach(session, proxy) -> None:
    """Of one key one wins; of one filter name each gets its number."""
    drivers = [Driver() for _ in range(8)]
    barrier = threading.Barrier(8)
    won, lost = [], []

    def install(driver: Driver) -> Callable[..., None]:
        def body(more: Any) -> None:
            barrier.wait()
            try:
                won.append(proxy.install("eth", driver))
            except ndis.DuplicateObjectIdError:
                lost.append(driver)

        return body

    run(*(install(each) for each in drivers))
    assert (len(won), len(lost)) == (1, 7)
    adapter = won[0]

    def attach(more: Any) -> None:
        barrier.wait()
        adapter.attach(Checking(), "f")

    run(*([attach] * 8))
    keys = [each.identity.key for each in adapter.filters]
    assert sorted(keys) == [f"eth/f-{i:04}" for i in range(8)]
    indexes = [adapter.if_index, *(each.if_index for each in adapter.filters)]
    assert sorted(map(tuple, session.if_stack_table().tolist())) == sorted(
        (b, a) for a, b in itertools.pairwise(indexes)
    )


def test_two_drivers_that_end_each_other(session) -> None:
    """Neither can: both wait in their handlers; the deadline ends it."""
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    class Ending(Driver):
        other: Any = None

        def oid_request(self, request: Any) -> int:
            barrier.wait(60)
            try:
                self.other.uninstall()
                outcomes.append("ended")
            except ndis.NdisTimeoutError:
                outcomes.append("timeout")
            barrier.wait(60)
            return 1

    with ProxyProvider(session, wait_timeout=0.1) as proxy:
        one, two = (proxy.install(key, Ending()) for key in ("one", "two"))
        one.driver.other, two.driver.other = two, one
        run(
            lambda more: one.query(VENDOR) and None,
            lambda more: two.query(VENDOR) and None,
        )
        assert outcomes == ["timeout", "timeout"]
        one.uninstall()
        two.uninstall()
        assert list(session.identities()) == []


@pytest.mark.parametrize("oid_timeout", [None, 30.0])
def test_close_while_threads_ask(oid_timeout: float | None) -> None:
    """The session ends; whoever asks then is told so."""
    for _ in range(5):
        session = ndis.Session()
        proxy = ProxyProvider(session, oid_timeout=oid_timeout)
        adapter = proxy.install("eth", Driver())
        adapter.attach(Checking(), "f")
        started = threading.Event()

        def ask(
            adapter: Any = adapter, started: threading.Event = started
        ) -> None:
            with pytest.raises(
                (ndis.InvalidStateError, ndis.InterfaceNotFoundError)
            ):
                while True:
                    assert adapter.query(VENDOR) == 7
                    started.set()

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for each in threads:
            each.start()
        assert started.wait(60)
        proxy.close()
        session.close()
        for each in threads:
            each.join(60)
            assert not each.is_alive()


def test_asked_the_moment_it_is_registered(session, proxy) -> None:
    """
    Before ``install`` or ``attach`` has returned: from the table, which asks
    handlers, on every registration.
    """
    reading, failed = threading.Event(), []

    def read(more: Callable[[], bool]) -> None:
        while more():
            for row in session.interface_table():
                reading.set()
                try:
                    assert session.query(row.net_luid, VENDOR) == 7
                except ndis.InterfaceNotFoundError:
                    continue
                except Exception as error:
                    failed.append(error)

    def churn(more: Callable[[], bool]) -> None:
        while more():
            adapter = proxy.install("eth", Driver())
            for _ in range(3):
                adapter.attach(Checking(), "f", position=0)
            adapter.uninstall()

    run(read, read, churn)
    assert reading.is_set()
    assert failed == []


@pytest.mark.parametrize("what", ["adapter", "filter module"])
def test_two_threads_pause_and_restart(proxy, what) -> None:
    """The driver is told once; who comes second finds it done."""
    told: list[str] = []
    second = threading.Event()

    class Noting:
        def pause(self) -> None:
            told.append("pause")
            second.wait(0.2)

        def restart(self) -> None:
            told.append("restart")
            second.wait(0.2)

    if what == "adapter":
        paused = proxy.install("eth", Noting())
    else:
        paused = proxy.install("eth", Driver()).attach(Noting(), "f")
    barrier = threading.Barrier(2)

    def change(more: Any) -> None:
        for each in (paused.pause, paused.restart):
            barrier.wait(60)
            each()

    run(change, change)
    assert told == ["restart", "pause", "restart"]
    paused.pause()
    (paused.uninstall if what == "adapter" else paused.detach)()
    assert told[3:] == ["pause"]


def test_an_end_during_a_pause(proxy) -> None:
    """It waits for the driver, and does not pause it again."""
    told: list[str] = []
    inside, end = threading.Event(), threading.Event()

    class Noting:
        def pause(self) -> None:
            told.append("pause")
            inside.set()
            end.wait(0.2)

        def halt(self) -> None:
            told.append("halt")
            end.set()

    adapter = proxy.install("eth", Noting())

    def uninstall(more: Any) -> None:
        assert inside.wait(60)
        adapter.uninstall()

    run(lambda more: adapter.pause(), uninstall)
    assert told == ["pause", "halt"]


def test_a_driver_that_pauses_in_a_change(proxy) -> None:
    """Refused at once: it would wait for itself."""
    errors: list[Exception] = []

    class Pausing:
        def restart(self) -> None:
            for change in (adapter.pause, adapter.restart):
                with pytest.raises(ndis.InvalidStateError) as caught:
                    change()
                errors.append(caught.value)

    adapter = proxy.install("eth", Driver())
    adapter.attach(Pausing(), "f")
    assert len(errors) == 2
    assert all("being changed" in str(each) for each in errors)


def test_a_driver_that_pauses_while_it_serves(
    session: ndis.Session, proxy: ProxyProvider
) -> None:
    """It may, but waits for no change that waits for its request."""
    pauses: list[object] = []
    inside = threading.Event()

    class Serving(Driver):
        def oid_request(self, request: Any) -> int:
            adapter.pause()
            pauses.append(None)
            adapter.restart()
            inside.set()
            while not adapter.turn._owner:
                time.sleep(0.001)
            with pytest.raises(ndis.NdisTimeoutError) as caught:
                adapter.pause()
            pauses.append(caught.value)
            return 7

    adapter = proxy.install("eth", Serving())

    def ask(more: Callable[[], bool]) -> None:
        assert session.query(adapter.net_luid, VENDOR) == 7

    def shut_down(more: Callable[[], bool]) -> None:
        assert inside.wait(60)
        adapter.shutdown()

    begun = time.monotonic()
    run(ask, shut_down)
    assert len(pauses) == 2
    assert time.monotonic() - begun < 25  # less than it would wait
