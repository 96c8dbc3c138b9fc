# SPDX-License-Identifier: MIT
"""
Bugs for the explorer to find: each a piece of a core file, what it is
replaced by in a copy of that file, and the case that must find it.

The sources themselves stay free of switches; a piece that is no longer there
exactly once fails the test.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    name: str
    file: str
    right: str
    wrong: str
    case: str


BITMAP, TABLE, POOL = "luid_bitmap.c", "if_table.h", "luid_pool.c"
SETS, TRANSIT = "index_sets.c", "transit.c"

BUGS = [
    Bug(
        "a claim in two steps",
        BITMAP,
        "if (nb_fetch_and(leaf, ~nb_bit(position)) & nb_bit(position))",
        "uint64_t was = nb_load(leaf); nb_store(leaf, was & "
        "~nb_bit(position)); if (was & nb_bit(position))",
        "allocate-free",
    ),
    Bug(
        "a double free is looked for before the free",
        BITMAP,
        "nb_fetch_or(free_word(bitmap, word), nb_bit(index))\n"
        "                    & nb_bit(index)))\n        return false;",
        "nb_load(free_word(bitmap, word)) & nb_bit(index)))\n"
        "        return false;\n"
        "    nb_fetch_or(free_word(bitmap, word), nb_bit(index));",
        "free-twice",
    ),
    Bug(
        "a hint cleared for good",
        BITMAP,
        "    if (nb_load(free_word(bitmap, word)) != 0)\n"
        "        mark(bitmap, word);\n}",
        "}",
        "hints",
    ),
    Bug(
        "a free does not tell who verifies",
        BITMAP,
        "    tell_verifiers(bitmap);\n    nb_store_relaxed(&bitmap->stripes",
        "    nb_store_relaxed(&bitmap->stripes",
        "resources-moving",
    ),
    Bug(
        "exhausted by one scan",
        BITMAP,
        "return *frees == before;",
        "return *frees == before || true;",
        "resources-moving",
    ),
    Bug(
        "unlease ignores pins",
        BITMAP,
        "        empty = nb_load(&bitmap->pins[block]) == 0;\n",
        "",
        "put-back-unlease",
    ),
    Bug(
        "unlease does not look again",
        BITMAP,
        "            empty = nb_load(&own->mine[i]) == 0;\n",
        "            empty = true;\n",
        "put-back-unlease",
    ),
    Bug(
        "unlease does not compare",
        BITMAP,
        "empty = nb_compare_exchange(&own->mine[zeroed], &expected, 0);",
        "nb_store(&own->mine[zeroed], 0);",
        "free-unlease",
    ),
    Bug(
        "what is put back is not told to who verifies",
        BITMAP,
        "    tell_verifiers(bitmap);\n}\n\nvoid nb_bitmap_keep",
        "}\n\nvoid nb_bitmap_keep",
        "resources-put-back",
    ),
    Bug(
        "entered though closed",
        TABLE,
        "NB_UNLIKELY(word & NB_RUNDOWN_CLOSED)\n            || ",
        "",
        "rundown",
    ),
    Bug(
        "entered without looking whose it is",
        TABLE,
        "nb_load(&interface->net_luid) != net_luid",
        "net_luid == 0",
        "used-again",
    ),
    Bug(
        "entered by adding",
        TABLE,
        "while (!nb_compare_exchange(&interface->rundown, &word, word + 1))",
        "while (nb_fetch_add(&interface->rundown, 1) == UINT64_MAX)",
        "rundown",
    ),
    Bug(
        "completed before the last has left",
        TABLE,
        "            && (before & NB_RUNDOWN_FLIGHT) == 1))",
        "            && (before & NB_RUNDOWN_FLIGHT) >= 1))",
        "rundown",
    ),
    Bug(
        "completed by nobody",
        TABLE,
        "            && (before & NB_RUNDOWN_FLIGHT) == 1))",
        "            && (before & NB_RUNDOWN_FLIGHT) == 0))",
        "rundown",
    ),
    Bug(
        "reserved without the lock",
        "if_table.c",
        "    pthread_mutex_lock(&table->writer);\n"
        "    status = reserve(table, registration, made);\n"
        "    pthread_mutex_unlock(&table->writer);\n",
        "    status = reserve(table, registration, made);\n",
        "register-twice",
    ),
    Bug(
        "an ifIndex written unseen",
        "if_table.c",
        "        if (!(*sequence & 1)\n"
        "            && nb_load_relaxed(&interface->sequence) == *sequence)\n",
        "",
        "lookup",
    ),
    Bug(
        "a lease is published beside who holds what it brings",
        POOL,
        """    pthread_mutex_lock(&pool->moving);
    for (uint32_t i = 0; i < count; i++)
        if (leases[i].block >= lowest && leases[i].block <= highest)
            published += publish_block(space, &leases[i]);
    pthread_mutex_unlock(&pool->moving);
""",
        """    for (uint32_t i = 0; i < count; i++)
        if (leases[i].block >= lowest && leases[i].block <= highest)
            published += publish_block(space, &leases[i]);
""",
        "lease-hold",
    ),
    Bug(
        "a block that the store will not have comes back unlocked",
        POOL,
        """    pthread_mutex_lock(&pool->moving);
    for (uint32_t i = 0; i < count; i++)
        nb_bitmap_lease(&space->bitmap, taken[i].block, taken[i].mask);
    pthread_mutex_unlock(&pool->moving);
""",
        """    for (uint32_t i = 0; i < count; i++)
        nb_bitmap_lease(&space->bitmap, taken[i].block, taken[i].mask);
""",
        "trim-refused",
    ),
    Bug(
        "held without the lock",
        POOL,
        """    pthread_mutex_lock(&pool->moving);
    held = nb_bitmap_hold_one(&space->bitmap, index);
    pthread_mutex_unlock(&pool->moving);
""",
        "    held = nb_bitmap_hold_one(&space->bitmap, index);\n",
        "lease-hold",
    ),
    Bug(
        "retained without the lock",
        SETS,
        """    pthread_mutex_lock(&pool->moving);
    held = try_blocks(sets, pool, nb_bitmap_hold, nb_bitmap_unhold);
    pthread_mutex_unlock(&pool->moving);
""",
        "    held = try_blocks(sets, pool, nb_bitmap_hold, "
        "nb_bitmap_unhold);\n",
        "lease-retain",
    ),
    Bug(
        "looked at while it is being leased",
        POOL,
        "if (state == NDISBRIDGE_INDEX_UNLEASED) {",
        "if (state > NDISBRIDGE_INDEX_RETAINED) {",
        "lease-test",
    ),
    Bug(
        "exhausted while a block is on its way here",
        POOL,
        "if (found == NB_NO_INDEX && status == NDISBRIDGE_STATUS_RESOURCES\n"
        "            && !nb_transit_wait(",
        "if (false && !nb_transit_wait(",
        "lease-twice",
    ),
    Bug(
        "who verifies is not told of a block given back",
        POOL,
        "    nb_bitmap_unleased(&space->bitmap);\n",
        "",
        "trim-allocate",
    ),
    Bug(
        "in use though only on its way",
        POOL,
        "if (!leased || nb_transit_returned_since(&space->transit, moment)) {",
        "if (false) {",
        "trim-claim",
    ),
    Bug(
        "released beside a lease",
        SETS,
        "            *travels = true;\n",
        "            *travels = false;\n",
        "release-lease",
    ),
    Bug(
        "released into what is not leased",
        SETS,
        "if (!travels || nb_bitmap_is_leased(&space->bitmap, block->block))",
        "",
        "release-trim",
    ),
    Bug(
        "a trip does not wait for those that exclude it",
        TRANSIT,
        "if (!wait_for(transit, trip->number - 1, kind != NB_TRIP_RELEASE,\n"
        "            deadline_ms)) {",
        "if (deadline_ms == 0) {",
        "release-trim",
    ),
]
