# SPDX-License-Identifier: MIT
"""
kill -9 between every two steps of the proxy: adapters and filter modules
keep or lose their NET_LUIDs as the specification says.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import ndisbridge as ndis
from ndisbridge.proxy import ProxyProvider

WORKERS = Path(__file__).parent / "workers"


def steps() -> tuple[str, ...]:
    spec = importlib.util.spec_from_file_location(
        "proxy_steps", WORKERS / "proxy_steps.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(WORKERS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(WORKERS))
    return module.STEPS


#: Keys whose identities the next proxy of the name finds: what was made
#: durable, without what was being detached or uninstalled.
LEFT = {
    "proxy": set(),
    "initializing": {"eth"},
    "installed": {"eth"},
    "attaching": {"eth", "eth/f-0000"},
    "attached": {"eth", "eth/f-0000"},
    "two attached": {"eth", "eth/f-0000", "eth/g-0000"},
    "detaching": {"eth", "eth/g-0000"},
    "detach: deregistered": {"eth", "eth/g-0000"},
    "detached": {"eth", "eth/g-0000"},
    "uninstalling": set(),
    "uninstall: filters gone": set(),
    "halting": set(),
    "uninstalled": set(),
}


def kill_at(store: Path, step: str) -> None:
    """Let a process go as far as a step, and kill it."""
    process = subprocess.Popen(
        [sys.executable, WORKERS / "proxy_steps.py", str(store), step],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    assert line.startswith("reached"), line


@pytest.mark.parametrize("step", steps())
def test_killed_at(step: str, store_path: Path) -> None:
    """
    What was begun to be taken away is; the rest is known again, with the
    same NET_LUIDs, and nothing has leaked.
    """
    kill_at(store_path, step)
    with ndis.Session(store_path) as session:
        before = {each.key: each.net_luid for each in session.identities()}
        with ProxyProvider(session) as proxy:
            left = {each.key: each.net_luid for each in session.identities()}
            assert left.keys() == LEFT[step]
            assert {each.key for each in proxy.healed} == (
                before.keys() - left.keys()
            )
            adapter = proxy.install("eth", object())
            modules = [adapter.attach(object(), name) for name in "fg"]
            for each in (adapter, *modules):
                known = left.get(each.identity.key)
                assert known in {None, int(each.net_luid)}
            adapter.uninstall()
        assert list(session.identities()) == []
        retained = {
            each.if_type: each.retained for each in session.store.stats().types
        }
        assert set(retained.values()) <= {0}
        assert session.store.check() == []


def test_every_step_is_expected() -> None:
    assert tuple(LEFT) == steps()


def test_filters_that_are_not_attached_again(store_path: Path) -> None:
    """They stay known until the host says that they are gone."""
    kill_at(store_path, "two attached")
    with ndis.Session(store_path) as session, ProxyProvider(session) as proxy:
        adapter = proxy.install("eth", object())
        module = adapter.attach(object(), "g")
        assert len(list(session.identities())) == 3
        assert [each.key for each in proxy.release_absent()] == ["eth/f-0000"]
        assert {each.key for each in session.identities()} == {
            "eth",
            module.identity.key,
        }


def test_what_another_process_takes_away_is_not_healed(
    store_path: Path,
) -> None:
    """It is still registered there; once that process is dead, it is."""
    process = subprocess.Popen(
        [
            sys.executable,
            WORKERS / "proxy_steps.py",
            str(store_path),
            "uninstalling",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("reached")
    try:
        with ndis.Session(store_path) as session:
            with ProxyProvider(session) as proxy:
                assert proxy.healed == ()
                with pytest.raises(ndis.IdentityInUseError):
                    proxy.install("eth", object())
                process.kill()
                process.wait()
                # Nobody has healed it yet: whoever installs it does.
                adapter = proxy.install("eth", object())
                assert "leaving" not in adapter.identity.record.attributes
                assert {each.key for each in session.identities()} == {"eth"}
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
