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


BITMAP, TABLE = "luid_bitmap.c", "if_table.h"

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
]
