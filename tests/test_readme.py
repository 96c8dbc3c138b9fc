# SPDX-License-Identifier: MIT
"""What the README shows is so."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.smoke
def test_python_example(readme: str, tmp_path: Path) -> None:
    """The Python example runs, and answers what it says."""
    text = readme.replace("/tmp/acme", str(tmp_path / "acme"))
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    test = doctest.DocTestParser().get_doctest(
        example[1], {}, "README", "README.md", 0
    )
    runner = doctest.DocTestRunner()
    runner.run(test)
    assert runner.summarize().failed == 0
    lines = [
        line
        for line in example[1].splitlines()
        if line.startswith((">>>", "..."))
    ]
    assert len(lines) <= 20


def doctested(text: str, name: str) -> None:
    """All Python examples of a text run, one after the other."""
    blocks = re.findall(r"```python\n(>>>.*?)```", text, re.DOTALL)
    assert blocks
    test = doctest.DocTestParser().get_doctest(
        "\n".join(blocks), {}, name, name, 0
    )
    runner = doctest.DocTestRunner()
    runner.run(test)
    assert runner.summarize().failed == 0


@pytest.mark.parametrize("name", ["README.md", "docs/proxy.md"])
def test_all_python_examples(name: str, tmp_path: Path) -> None:
    """Those that come later, too."""
    text = (ROOT / name).read_text(encoding="utf-8")
    doctested(text.replace("/tmp/acme", str(tmp_path / "acme")), name)


def test_c_example(readme: str) -> None:
    """The C example is an excerpt of the program that the tests compile."""
    program = (ROOT / "examples" / "embed.c").read_text(encoding="utf-8")
    squeezed = re.sub(r"\s+", " ", program)
    example = re.search(r"```c\n(.*?)```", readme, re.DOTALL)
    assert example is not None
    for statement in example[1].split(";"):
        assert re.sub(r"\s+", " ", statement).strip() in squeezed


def test_docstrings() -> None:
    """The examples in docstrings run."""
    import ndisbridge as ndis
    from ndisbridge import net_luid, session
    from ndisbridge.proxy import oper_status

    for module in (ndis, net_luid, session, oper_status):
        globs = {**vars(module), "IfType": ndis.IfType}
        assert doctest.testmod(module, extraglobs=globs).failed == 0


def test_commands_exist(readme: str) -> None:
    """Every subcommand that the README names is there."""
    from ndisbridge.cli import main

    blocks = "".join(re.findall(r"```sh\n(.*?)```", readme, re.DOTALL))
    names = set(re.findall(r"^ndisbridge (\w+)", blocks, re.MULTILINE))
    assert names
    assert names <= set(main.commands)
