# SPDX-License-Identifier: MIT
"""
Writes the man page of the command, docs/ndisbridge.1: the commands and their
options as click has them, between the text of docs/ndisbridge.1.in.

Run after the command has changed; ``--check`` only says whether the page is
current.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ndisbridge import __version__
from ndisbridge.cli import main as command

DOCS = Path(__file__).parent.parent / "docs"
TEMPLATE = DOCS / "ndisbridge.1.in"
PAGE = DOCS / "ndisbridge.1"


def escaped(text: str) -> str:
    """Text that roff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    text = text.replace("`", "\\(ga").replace("~", "\\(ti")
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)


def bold(text: str) -> str:
    return f"\\fB{escaped(text)}\\fR"


def prose(text: str) -> str:
    """A help text: `code` is bold."""
    parts = re.split(r"`([^`]+)`", " ".join(text.split()))
    return "".join(
        bold(part) if i % 2 else escaped(part) for i, part in enumerate(parts)
    )


def commands(
    group: click.Group, name: str
) -> Iterator[tuple[str, click.Command]]:
    """Every command by its words, groups left out."""
    for word, each in group.commands.items():
        if isinstance(each, click.Group):
            yield from commands(each, f"{name} {word}")
        else:
            yield f"{name} {word}", each


def value_of(option: click.Option) -> str:
    """What an option takes; "" for a flag."""
    if option.is_flag:
        return ""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    return option.type.name.upper()


def synopsis(name: str, each: click.Command) -> str:
    words = [bold(name)]
    if any(isinstance(param, click.Option) for param in each.params):
        words.append("[\\fIoptions\\fR]")
    for param in each.params:
        if isinstance(param, click.Argument):
            word = f"\\fI{param.metavar or str(param.name).upper()}\\fR"
            if param.nargs == -1:
                word += " ..."
            words.append(word if param.required else f"[{word}]")
    return " ".join(words)


def option_lines(option: click.Option) -> Iterator[str]:
    names = ", ".join(bold(opt) for opt in option.opts)
    value = value_of(option)
    yield ".TP"
    yield names + (f" \\fI{escaped(value)}\\fR" if value else "")
    text = prose(option.help or "")
    if option.show_default and option.default is not None:
        text += f" The default is {bold(str(option.default))}."
    yield text


def help_lines(text: str) -> Iterator[str]:
    """A help text as click writes it: paragraphs, and examples as they are."""
    for i, part in enumerate(re.split(r"\n\s*\n", text.strip())):
        lines = part.split("\n")
        if lines[0].strip() != "\b":
            if i:
                yield ".PP"
            yield prose(part)
            continue
        yield ".PP"
        yield from (prose(line) for line in lines[1:2])
        yield ".PP"
        yield ".nf"
        indent = len(lines[2]) - len(lines[2].lstrip())
        yield from (f"    {escaped(line[indent:])}" for line in lines[2:])
        yield ".fi"


def command_lines(name: str, each: click.Command) -> Iterator[str]:
    yield f".SS {synopsis(name, each)}"
    yield from help_lines(each.help or "")
    for param in each.params:
        if isinstance(param, click.Option) and not param.hidden:
            yield from option_lines(param)


def page() -> str:
    found = "\n".join(
        line
        for name, each in commands(command, "ndisbridge")
        for line in command_lines(name, each)
    )
    text = TEMPLATE.read_text(encoding="utf-8")
    # What says how the template is written is not for the page.
    text = text[text.index(".TH") :]
    return (
        '.\\" SPDX-License-Identifier: MIT\n'
        '.\\" Written by tools/generate_man.py from ndisbridge.1.in.\n'
        + text.replace("@VERSION@", __version__).replace("@COMMANDS@", found)
    )


def main() -> int:
    text = page()
    current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
    if "--check" in sys.argv[1:]:
        if not current:
            print(f"stale {PAGE.name}: run python tools/generate_man.py")
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"{'current' if current else 'wrote'} {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
