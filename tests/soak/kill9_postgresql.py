# SPDX-License-Identifier: MIT
"""
Kills processes of four hosts on one PostgreSQL store with -9 at random
moments, as kill9.py does on SQLite.  When all four are dead, and each host
has opened the store once more, it must have what their witnesses were told,
and nothing else.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time
from pathlib import Path

import kill9

# Beside churn.py, which kill9 has found.
import postgres_server
from common import Report, Scratch, kill, parser

import ndisbridge as ndis
from ndisbridge import NetLuid
from ndisbridge.persistence.postgresql import PostgresqlStore

HOSTS = tuple(f"host{number}" for number in range(kill9.PROCESSES))
#: Seconds that a process lives, at most: the server forks for each.
LONGEST = 0.5


def compare(server: postgres_server.Server, told: kill9.Told) -> None:
    """Open the store as each host, and compare it with what was told."""
    with contextlib.ExitStack() as opened:
        sessions = [
            opened.enter_context(ndis.Session(server.url("postgres", host)))
            for host in HOSTS
        ]
        records, by_session = {}, []
        for session in sessions:
            own = {each.key: each for each in session.identities()}
            assert not own.keys() & records.keys(), "a key of two hosts"
            records |= own
            by_session.append((session, own))
        store = sessions[0].store
        assert isinstance(store, PostgresqlStore)
        assert store.check() == []
        assert len(store.stats().sessions) == len(HOSTS), "a dead one is left"
        assert store._rows("SELECT id FROM leases") == [], "a lease is left"
        assert all(each.in_use_by is None for each in records.values())
        assert all(each.persistent for each in records.values())
        for key, luid in told.names.items():
            assert key in records, "an identity is lost"
            assert records[key].net_luid == luid, "a NET_LUID is lost"
        assert set(records) - set(told.names) <= told.maybe_names
        of_identities = {
            NetLuid(each.net_luid).net_luid_index for each in records.values()
        }
        assert len(of_identities) == len(records), "given twice"
        taken = {
            (number & 4095) * 4096 + place * 8 + bit
            for number, mask in store._rows(
                "SELECT id, bits FROM pages WHERE id >> 12 = 6"
            )
            for place, byte in enumerate(mask)
            for bit in range(8)
            if byte >> bit & 1
        }
        assert of_identities <= taken
        bare = taken - of_identities
        assert not told.kept & of_identities, "given twice"
        assert told.kept <= bare, "a retained NET_LUID is lost"
        assert bare - told.kept <= told.maybe, "one has leaked"
        ((if_indexes,),) = store._rows(
            "SELECT coalesce(sum(retained), 0)::int FROM pages WHERE scope > 0"
        )
        assert if_indexes == sum(
            each.if_index_owned for each in records.values()
        ), "an ifIndex has leaked"
        told.kept, told.maybe = bare, set()
        told.names = {key: r.net_luid for key, r in records.items()}
        told.maybe_names = set()
        if len(records) > kill9.MOST:
            for session, own in by_session:
                for record in list(own.values())[: len(own) // 2]:
                    session.release(record)
                    del told.names[record.key]
        if len(told.kept) > kill9.MOST * 4:
            old = sorted(told.kept)[: kill9.MOST * 2]
            sessions[0].release_net_luid_indexes(6, old)
            told.kept.difference_update(old)


def one_round(
    server: postgres_server.Server,
    directory: Path,
    told: kill9.Told,
    chance: random.Random,
    control: str,
) -> None:
    """Four hosts, four kills."""
    running = {}
    try:
        for host in HOSTS:
            witness = directory / host
            url = server.url("postgres", host)
            seed = chance.randrange(1 << 30)
            running[kill9.start(url, witness, seed, control)] = witness
        begun = time.monotonic()
        ends = sorted(chance.uniform(0.02, LONGEST) for _ in running)
        victims = list(running)
        chance.shuffle(victims)
        for pid, end in zip(victims, ends, strict=True):
            time.sleep(max(0.0, begun + end - time.monotonic()))
            witness = running.pop(pid)
            kill(pid, kill9.last_words(witness))
            if witness.exists():
                told.read(witness)
                witness.unlink()
    finally:
        for pid, witness in running.items():
            kill(pid, kill9.last_words(witness))
    compare(server, told)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=50, help="kills")
    options.add_argument(
        "--control",
        choices=("", "swapped"),
        default="",
        help="swapped: the witness is early, which must be found",
    )
    args = options.parse_args()
    report = Report("kill9-postgresql", args)
    chance = random.Random(args.seed)
    told = kill9.Told()
    with Scratch() as directory, postgres_server.running() as server:
        # Not one of the four makes the tables: they would all wait for it.
        ndis.Session(server.url("postgres", HOSTS[0])).close()
        for first in report.rounds(args.rounds, len(HOSTS)):
            with report.trying(f"round {first}"):
                one_round(server, directory, told, chance, args.control)
                report.counts["kills"] += len(HOSTS)
    report.counts["acknowledged"] = told.acknowledged
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
