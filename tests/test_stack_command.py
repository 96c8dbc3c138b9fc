# SPDX-License-Identifier: MIT
"""`stack` as a tree, as rows and as a graph; `set`, in the kernel."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

LINKS = [
    "link add if0 type ifb",
    "link add ve0 type veth peer name ve1",
    "link add br0 type bridge",
    "link add mv0 link ve0 type macvlan mode bridge",
    "link add mv1 link ve0 type macvlan mode bridge",
    "link set ve1 master br0",
    "link set if0 master br0",
]
ROWS = {("br0", "if0"), ("br0", "ve1"), ("mv0", "ve0"), ("mv1", "ve0")}


@pytest.fixture
def here(new_namespace: Callable[[], object]):
    return new_namespace()


@pytest.fixture
def stacked(here):
    for each in LINKS:
        here.ip(each)
    return here


def names(tree: str) -> list[str]:
    return [re.split(r"(?<=\S)  ", line)[0] for line in tree.splitlines()[1:]]


def test_tree(stacked) -> None:
    """Each is shown below what runs on it."""
    wanted = [
        "lo",
        "br0",
        "├── if0",
        "└── ve1",
        "mv0",
        "└── ve0",
        "mv1",
        "└── ve0",
    ]
    assert names(stacked.run("stack").stdout) == wanted
    assert stacked.run("stack", "-o", "tree").stdout == (
        stacked.run("stack").stdout
    )
    stacked.environment["PYTHONIOENCODING"] = "ascii"
    plain = stacked.run("stack").stdout
    assert plain.isascii()
    assert "`-- ve1" in plain


def test_narrow_terminal(stacked, need) -> None:
    """A tree is not folded where what it can do without takes the room."""
    stacked.inside += [need("script"), "-qec"]
    command = "stty cols 50; exec {} -m ndisbridge stack".format
    lines = subprocess.run(
        [*stacked.inside, command(sys.executable), "/dev/null"],
        env={**stacked.environment, "TERM": "xterm"},
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    ).stdout.splitlines()
    tree = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert "InterfaceDescription" not in tree[0]
    assert len(tree) == 1 + len(names("\n".join(tree)))
    assert any(line.startswith("├── if0") for line in tree)
    assert all(len(line) <= 50 for line in tree)


def test_what_is_below_twice(here) -> None:
    """What several run on is there below each, its own lower ones once."""
    for each in (
        "link add ve0 type veth peer name ve1",
        "link add br0 type bridge",
        "link set ve0 master br0",
        "link add mv0 link br0 type macvlan",
        "link add mv1 link br0 type macvlan",
    ):
        here.ip(each)
    tree = names(here.run("stack").stdout)
    assert sorted(tree) == sorted(
        ["lo", "ve1", "mv0", "└── br0", "    └── ve0", "mv1", "└── br0 ..."]
    )


def test_rows(stacked) -> None:
    """Every format has the same rows, with NET_LUIDs once there are any."""
    for known in (False, True):
        if known:
            adopted = stacked.rows("adopt")
        rows = json.loads(stacked.run("stack", "-o", "json").stdout)
        assert {(row["higher"], row["lower"]) for row in rows} == ROWS
        lines = stacked.run("stack", "-o", "jsonl").stdout.splitlines()
        assert [json.loads(line) for line in lines] == rows
        text = stacked.run("stack", "-o", "csv").stdout
        for found, row in zip(
            csv.DictReader(io.StringIO(text)), rows, strict=True
        ):
            assert found == {name: str(row[name]) for name in found}
            assert set(found) == set(row)
        links = stacked.links()
        for row in rows:
            for end in ("higher", "lower"):
                name = row[end]
                assert row[f"{end}_if_index"] == links[name]["ifindex"]
                assert row[f"{end}_net_luid"] == (
                    adopted[name]["net_luid"] if known else ""
                )
        table = stacked.run("stack", "-o", "table").stdout
        assert len(table.splitlines()) == 1 + len(rows)


def parsed(dot: str) -> tuple[dict[str, str], set[tuple[str, str]]]:
    """Labels of the nodes, and edges by the names in them."""
    lines = dot.splitlines()
    assert lines[0] == "digraph stack {"
    assert lines[-1] == "}"
    labels, edges = {}, set()
    for line in lines[1:-1]:
        node = re.fullmatch(
            r'  (n\d+) \[label="((?:[^"\\]|\\.)*)", fillcolor=\w+\];', line
        )
        edge = re.fullmatch(r"  (n\d+) -> (n\d+);", line)
        if node:
            labels[node[1]] = node[2]
        elif edge:
            edges.add((edge[1], edge[2]))
        else:
            assert re.fullmatch(r'  \w+ \[(\w+="[^"]*"(, )?)+\];', line), line
    first = {node: label.split(r"\n")[0] for node, label in labels.items()}
    return labels, {(first[high], first[low]) for high, low in edges}


def test_graph(stacked) -> None:
    """A graph that Graphviz draws, whatever the names are."""
    subprocess.run(
        ["ip", "-n", stacked.name, "link", "set", "mv1", "name", '"a\\'],
        check=True,
    )
    stacked.rows("adopt")
    dot = stacked.run("stack", "-o", "dot").stdout
    labels, edges = parsed(dot)
    odd = r"\"a\\"
    assert edges == (ROWS - {("mv1", "ve0")}) | {(odd, "ve0")}
    assert len(labels) == len(stacked.links())
    (row,) = (
        row for row in stacked.rows("list").values() if row["name"] == "br0"
    )
    label = labels[f"n{row['if_index']}"].split(r"\n")
    assert label == [
        "br0",
        "bridge",
        f"ifIndex {row['if_index']}, {row['status']}",
        row["net_luid"],
    ]
    if shutil.which("dot"):
        drawn = subprocess.run(
            ["dot", "-Tsvg"], input=dot, capture_output=True, text=True
        )
        assert drawn.returncode == 0, drawn.stderr
        assert drawn.stdout.count('class="edge"') == len(edges)


# ---------------------------------------------------------------------------
# set


def test_set(here) -> None:
    """What is set is so in the kernel, and is what a query answers."""
    here.ip("link add if0 type ifb")
    here.ip("link add if1 type ifb")
    row = here.rows("adopt")["if0"]
    here.run("set", "if0", "GEN_ADMIN_STATUS", "up")
    assert "UP" in here.links()["if0"]["flags"]
    here.run("set", row["net_luid"], "oid_gen_admin_status", "DOWN")
    assert "UP" not in here.links()["if0"]["flags"]
    here.run("set", str(row["if_index"]), "GEN_MAXIMUM_FRAME_SIZE", "1400")
    assert here.links()["if0"]["mtu"] == 1400
    for word, number in (("on", 1), ("off", 0)):
        here.run("set", row["interface_guid"], "GEN_PROMISCUOUS_MODE", word)
        assert here.links()["if0"]["promiscuity"] == number
    here.run("set", "if0", "GEN_ALIAS", "Büro ☃")
    assert here.links()["if0"]["ifalias"] == "Büro ☃"
    assert here.run("query", "if0", "GEN_ALIAS").stdout == "Büro ☃\n"
    assert here.rows("list")["if0"]["alias"] == "Büro ☃"
    here.run("set", "if0", "GEN_ALIAS", "")
    assert "ifalias" not in here.links()["if0"]
    assert here.rows("list")["if0"]["alias"] == ""
    assert here.links()["if1"]["mtu"] == 1500


def test_set_while_followed(here) -> None:
    """What another process has registered can be set, and it hears of it."""
    here.ip("link add if0 type ifb")
    with here.running("adopt", "--follow", "-o", "jsonl") as running:
        running.event(name="if0")
        here.run("set", "if0", "GEN_ALIAS", "lab")
        assert running.event(alias="lab")["name"] == "if0"
        here.run("set", "if0", "GEN_MAXIMUM_FRAME_SIZE", "1400")
        assert running.event(mtu=1400)["changed"] == ["mtu"]
        assert running.end() == 0


def test_refused(here, need) -> None:
    """What the kernel does not do is said in its words."""
    here.ip("link add ve0 type veth peer name ve1")
    done = here.run("set", "ve0", "GEN_MAXIMUM_FRAME_SIZE", "20", code=4)
    assert done.stderr == (
        "ndisbridge: ve0: GEN_MAXIMUM_FRAME_SIZE: the kernel refuses: "
        "Invalid argument\n"
    )
    here.inside += [need("setpriv"), "--bounding-set", "-net_admin"]
    done = here.run("set", "ve0", "GEN_ADMIN_STATUS", "up", code=4)
    assert "Operation not permitted" in done.stderr
    assert not here.store.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["lo", "GEN_LINK_SPEED", "1"], 2, "GEN_ADMIN_STATUS, GEN_ALIAS"),
        (["lo", "GEN_NONSENSE", "1"], 1, "no OID"),
        (["lo", "GEN_ADMIN_STATUS", "sideways"], 2, "not up or down"),
        (["lo", "GEN_ADMIN_STATUS", "testing"], 2, "not up or down"),
        (["lo", "GEN_MAXIMUM_FRAME_SIZE", "x"], 2, "a number of bytes"),
        (["lo", "GEN_MAXIMUM_FRAME_SIZE", "9" * 30], 2, "a number of"),
        (["lo", "GEN_PROMISCUOUS_MODE", "maybe"], 2, "not on or off"),
        (["nobody", "GEN_ALIAS", "x"], 1, "nobody"),
        (["lo", "GEN_ALIAS", "x" * 300], 4, "GEN_ALIAS"),
    ],
)
def test_mistakes(here, arguments: list[str], code: int, said: str) -> None:
    """Mistakes are explained, and change nothing."""
    before = here.links()
    assert said in here.run("set", *arguments, code=code).stderr
    assert here.links() == before


def test_identity_without_a_link(here) -> None:
    """What is not here can't be set."""
    here.run("reserve", "vpn0")
    done = here.run("set", "vpn0", "GEN_ADMIN_STATUS", "up", code=1)
    assert "no link here" in done.stderr
