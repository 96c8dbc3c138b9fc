# SPDX-License-Identifier: MIT
"""
Eight hosts work on one PostgreSQL store while its server is stopped with
``-m immediate`` and started again, its backends are killed or frozen, and
hosts are frozen, evicted and let go on.  Each host writes down, with the
time, what it holds from when and until when; afterwards no NET_LUID index may
ever have been held by two, and what they were told is retained must be there.

An evicted host goes on without knowing it.  What it has allocated and not
retained by then is not its own any more: that counts until the eviction, and
again once it has a new session.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import kill9

# Beside churn.py, which kill9 has found.
import postgres_server
import psycopg
from common import Report, Scratch, fork, kill, parser

import ndisbridge as ndis
from ndisbridge.persistence import LeaseLostError, StoreError
from ndisbridge.persistence.postgresql import PostgresqlStore

HOSTS = tuple(f"host{number}" for number in range(8))
IF_TYPE = 6


# -- a host


class Host:
    """Allocates, retains, releases, frees and trims until it is killed."""

    def __init__(self, url: str, history: Path) -> None:
        self._url = url
        self._history = os.open(history, os.O_WRONLY | os.O_CREAT, 0o600)
        self._held: list[int] = []
        self._retained: list[int] = []

    def _tell(self, what: str, *indexes: int) -> None:
        line = f"{time.monotonic_ns()} {what} {' '.join(map(str, indexes))}\n"
        os.write(self._history, line.encode())

    def live(self) -> None:
        while True:
            try:
                session = ndis.Session(self._url)
            except (StoreError, ndis.NdisError):
                time.sleep(0.05)
                continue
            self._tell("open")
            lost = False
            try:
                for _ in range(random.randrange(20, 400)):
                    lost = self._step(session) or lost
                    if lost:
                        break
            finally:
                self._tell("free", *self._held)
                self._held = []
                with contextlib.suppress(StoreError, ndis.NdisError):
                    session.close()

    def _step(self, session: ndis.Session) -> bool:
        """One random thing; whether the session is lost."""
        choice = random.random()
        try:
            if choice < 0.4:
                made = list(
                    session.allocate_net_luid_indexes(
                        IF_TYPE, random.randrange(1, 40)
                    )
                )
                self._held += made
                self._tell("hold", *made)
            elif choice < 0.6 and self._held:
                some = self._some(self._held)
                self._tell("retain?", *some)
                session.retain_net_luid_indexes(IF_TYPE, some)
                self._tell("retain!", *some)
                self._retained += some
            elif choice < 0.75 and self._retained:
                some = self._some(self._retained)
                self._tell("release?", *some)
                session.release_net_luid_indexes(IF_TYPE, some)
                self._tell("release!", *some)
            elif choice < 0.95 and self._held:
                some = self._some(self._held)
                self._tell("free", *some)
                session.free_net_luid_indexes(IF_TYPE, some)
            else:
                session.trim()
        except LeaseLostError:
            return True
        except (StoreError, ndis.NdisError):
            time.sleep(0.01)
        time.sleep(0.002)
        return False

    @staticmethod
    def _some(among: list[int]) -> list[int]:
        """Taken out: what fails is nobody's claim any more."""
        random.shuffle(among)
        return [among.pop() for _ in range(min(len(among), 5))]


def start(url: str, history: Path, seed: int) -> int:
    def work() -> None:
        random.seed(seed)
        Host(url, history).live()

    return fork(work, kill9.last_words(history))


# -- the history


@dataclass
class History:
    """What hosts have held for certain, and what is left of it."""

    #: Of each index: from, until, host.
    spans: dict[int, list[tuple[int, int, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    retained: set[int] = field(default_factory=set)
    #: Asked for by some host, and not answered, or with an error.
    doubtful: set[int] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0

    def read(self, host: str, text: str, evicted: list[int]) -> None:
        """A host's history; the times at which it was evicted."""
        since: dict[int, int] = {}
        #: What is being retained: fails it, nobody claims it any more.
        asked: dict[int, int] = {}
        kept: set[int] = set()
        doubtful: set[int] = set()
        claims = False
        before = 0
        ends = sorted(evicted)
        for line in text.splitlines():
            stamp, what, *words = line.split()
            now, indexes = int(stamp), [int(word) for word in words]
            while ends and ends[0] <= now:
                end = ends.pop(0)
                for index in set(since) - kept:
                    self._over(host, index, since, end)
                asked = {}
                claims = False
            if not what.endswith("?"):
                self.counts[what.rstrip("!")] += len(indexes) or 1
            self.acknowledged += what.endswith("!")
            if what == "retain!":
                since |= asked
                asked = {}
            for index in list(asked):
                self._over(host, index, asked, before)
            before = now
            if what == "open":
                claims = True
            elif what == "hold" and claims:
                since.update(dict.fromkeys(indexes, now))
            elif what == "retain!":
                doubtful.difference_update(indexes)
                kept.update(indexes)
                for index in indexes:
                    since.setdefault(index, now)
            elif what == "retain?":
                doubtful.update(indexes)
                asked = {i: since.pop(i) for i in indexes if i in since}
            elif what in {"free", "release?"}:
                if what == "release?":
                    doubtful.update(indexes)
                for index in indexes:
                    kept.discard(index)
                    self._over(host, index, since, now)
            elif what == "release!":
                doubtful.difference_update(indexes)
        last = time.monotonic_ns()
        for index in list(asked):
            self._over(host, index, asked, before)
        for index in list(since):
            # Killed, it holds no longer what it has not retained.
            self._over(host, index, since, last if index in kept else before)
        self.retained |= kept
        self.doubtful |= doubtful

    def _over(
        self, host: str, index: int, since: dict[int, int], now: int
    ) -> None:
        began = since.pop(index, None)
        if began is not None:
            self.spans[index].append((began, now, host))

    def doubled(self) -> list[str]:
        found = []
        for index, spans in self.spans.items():
            spans.sort()
            for one, other in itertools.pairwise(spans):
                if other[0] < one[1]:
                    found.append(f"index {index}: {one}, {other}")
        return found


# -- what befalls them


def signalled(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Fate:
    """What befalls hosts and their server."""

    def __init__(
        self,
        server: postgres_server.Server,
        running: dict[str, int],
        chance: random.Random,
        is_long: bool,
    ) -> None:
        self._is_long = is_long
        self._server = server
        self._running = running
        self._chance = chance
        self.evicted: dict[str, list[int]] = defaultdict(list)
        self.counts: Counter[str] = Counter()

    def strike(self) -> None:
        what = self._chance.choice(
            (self.crash, self.cut, self.freeze, self.evict)
        )
        try:
            what()
            self.counts[what.__name__] += 1
        except (psycopg.Error, StoreError):
            self.counts["missed"] += 1  # busy with the last one

    def crash(self) -> None:
        self._server.stop("immediate")
        time.sleep(self._chance.uniform(0, 0.5))
        self._server.start()

    def cut(self) -> None:
        """Connections, before or after the reply, as it comes."""
        found = self._sessions()
        self._chance.shuffle(found)
        signalled(found[: self._chance.randrange(1, 5)], signal.SIGTERM)

    def freeze(self) -> None:
        found = self._sessions()
        signalled(found, signal.SIGSTOP)
        # Now and then for longer than a host waits for an answer.
        long = self._is_long and self._chance.random() < 0.1
        time.sleep(40 if long else self._chance.uniform(0.1, 2))
        signalled(found, signal.SIGCONT)

    def evict(self) -> None:
        """A host is cut off, given up, and comes back."""
        host = self._chance.choice(HOSTS)
        signalled([self._running[host]], signal.SIGSTOP)
        # It may hold locks on the server until its connection is ended.
        signalled(self._sessions(), signal.SIGTERM)
        try:
            with contextlib.closing(
                PostgresqlStore(
                    self._server.url("postgres", "operator"), read_only=True
                )
            ) as store:
                self.evicted[host].append(time.monotonic_ns())
                with contextlib.suppress(StoreError):
                    store.evict(host)
            time.sleep(self._chance.uniform(0.2, 1))
        finally:
            signalled([self._running[host]], signal.SIGCONT)

    def forget(self) -> None:
        """A control: leases are void, and nobody is told."""
        with (
            contextlib.suppress(psycopg.Error),  # a deadlock: once more
            psycopg.connect(self._server.url("postgres")) as db,
        ):
            db.execute("DELETE FROM ndisbridge.leases")

    def _sessions(self) -> list[int]:
        """Backends of connections, not the server's own processes."""
        with psycopg.connect(self._server.url("postgres")) as db:
            return [
                pid
                for (pid,) in db.execute(
                    "SELECT pid FROM pg_stat_activity WHERE backend_type = "
                    "'client backend' AND pid <> pg_backend_pid()"
                )
            ]


def compare(server: postgres_server.Server, history: History) -> None:
    """Once each host has opened the store again."""
    with contextlib.ExitStack() as opened:
        sessions = [
            opened.enter_context(ndis.Session(server.url("postgres", host)))
            for host in HOSTS
        ]
        store = sessions[0].store
        assert isinstance(store, PostgresqlStore)
        assert store.check() == []
        assert len(store.stats().sessions) == len(HOSTS), "a dead one is left"
        assert store._rows("SELECT id FROM leases") == [], "a lease is left"
        taken = {
            (number & 4095) * 4096 + place * 8 + bit
            for number, mask in store._rows(
                f"SELECT id, bits FROM pages WHERE id >> 12 = {IF_TYPE}"
            )
            for place, byte in enumerate(mask)
            for bit in range(8)
            if byte >> bit & 1
        }
    certain = history.retained - history.doubtful
    assert certain <= taken, f"lost: {sorted(certain - taken)[:10]}"
    leaked = taken - history.retained - history.doubtful
    assert not leaked, f"leaked: {sorted(leaked)[:10]}"


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument(
        "--control",
        choices=("", "forget"),
        default="",
        help="forget: leases vanish unseen, which must be found",
    )
    args = options.parse_args()
    report = Report("hosts", args)
    length = args.hours * 3600 if args.hours else args.seconds
    chance = random.Random(args.seed)
    history = History()
    with Scratch() as directory, postgres_server.running() as server:
        ndis.Session(server.url("postgres", HOSTS[0])).close()
        running = {
            host: start(
                server.url("postgres", host),
                directory / host,
                chance.randrange(1 << 30),
            )
            for host in HOSTS
        }
        fate = Fate(server, running, chance, length > 300)
        try:
            time.sleep(1)
            while report.seconds < length:
                fate.forget() if args.control else fate.strike()
                time.sleep(chance.uniform(0.1, 1))
        finally:
            for host, pid in running.items():
                with report.trying(host):
                    kill(pid, kill9.last_words(directory / host))
        for host in HOSTS:
            text = (directory / host).read_text()
            history.read(host, text, fate.evicted[host])
        report.failures += history.doubled()[:20]
        with report.trying("afterwards"):
            compare(server, history)
    report.counts.update(fate.counts)
    report.counts.update(history.counts)
    report.counts["acknowledged"] = history.acknowledged
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
