# SPDX-License-Identifier: MIT
"""
The command ``ndisbridge``.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from ._native import library_version
from .constants import IfType
from .exceptions import InvalidParameterError, NdisError
from .net_luid import NetLuid
from .persistence import (
    IdentityRecord,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
)
from .persistence.sqlite import SqliteStore
from .proxy.compartments import CompartmentError, current_compartment
from .proxy.links import LinuxLink, read_links
from .proxy.linux import PROVIDER_NAME, LinuxHost
from .proxy.recognition import recognise
from .session import Session
from .structures import Structure, oid_number

try:
    import click
    from rich.console import Console
    from rich.table import Table
except ImportError as error:  # pragma: no cover
    sys.exit(
        f"ndisbridge: {error.name} is missing: pip install 'ndisbridge[cli]'"
    )

#: Exit codes.
OK, NOT_FOUND, USAGE, STORE = range(4)

SYSTEM_STORE = "/var/lib/ndisbridge/ndis.db"
_FORMATS = ("table", "json", "jsonl", "csv")


class NotFound(click.ClickException):
    """Nothing is what the user named."""

    exit_code = NOT_FOUND


class StoreFailure(click.ClickException):
    """The store, or the kernel, refused."""

    exit_code = STORE


# ---------------------------------------------------------------------------
# Which store


def own_store() -> str:
    """The store that this user writes by default."""
    if os.geteuid() == 0:
        return SYSTEM_STORE
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser(
        "~/.local/state"
    )
    return str(Path(state) / "ndisbridge" / "ndis.db")


def store_to_read(given: str | None) -> str:
    """The store to show: the user's own, or the system's without one."""
    if given:
        return given
    own = own_store()
    if not os.path.exists(own) and os.access(SYSTEM_STORE, os.R_OK):
        return SYSTEM_STORE
    return own


def open_session(given: str | None) -> Session:
    """A session on the store to write."""
    path = given or own_store()
    if not given:
        os.makedirs(os.path.dirname(os.path.dirname(path)), exist_ok=True)
    return Session(path)


def read_store(given: str | None) -> SqliteStore:
    """A snapshot of the store to show."""
    path = store_to_read(given)
    try:
        return SqliteStore(path, read_only=True)
    except StoreNotFoundError:
        raise StoreNotFoundError(
            "there is no such store yet: `ndisbridge adopt` makes it", path
        ) from None


# ---------------------------------------------------------------------------
# Rows: an identity, with what the host says of its link


@dataclass(frozen=True)
class Row:
    """What the command shows of one interface."""

    name: str
    description: str
    if_index: int
    status: str
    admin_status: str
    mac_address: str
    link_speed: int | None
    mtu: int | None
    if_type: int
    if_type_name: str
    net_luid: str
    net_luid_name: str
    net_luid_index: int
    interface_guid: str
    alias: str
    provider: str
    compartment: str
    key: str
    persistent: bool
    registered_by: str
    state: str

    def fields(self) -> dict[str, Any]:
        return asdict(self)


#: Columns of the table: heading, field.
COLUMNS = {
    "Name": "name",
    "InterfaceDescription": "description",
    "ifIndex": "if_index",
    "Status": "status",
    "MacAddress": "mac_address",
    "LinkSpeed": "link_speed",
    "NetLuid": "net_luid",
    "ifName": "net_luid_name",
    "InterfaceGuid": "interface_guid",
}


def make_row(
    record: IdentityRecord, link: LinuxLink | None, state: str = ""
) -> Row:
    """The row of an identity and, if it has one, its link."""
    net_luid = NetLuid(record.net_luid)
    live = link is not None
    return Row(
        name=link.name if link else record.attributes.get("name", record.key),
        description=(link.kind if link else record.attributes.get("kind", ""))
        or net_luid.if_type.name.lower(),
        if_index=link.if_index if link else record.if_index,
        status=link.oper_status.name if link else "ABSENT",
        admin_status=link.admin_status.name if link else "",
        mac_address=link.address.hex(":") if link else "",
        link_speed=link.link_speed if link else None,
        mtu=link.mtu if link else None,
        if_type=int(net_luid.if_type),
        if_type_name=net_luid.if_type.name,
        net_luid=str(net_luid),
        net_luid_name=net_luid.name,
        net_luid_index=net_luid.net_luid_index,
        interface_guid=str(record.interface_guid),
        alias=(link.alias if link else "") or record.alias,
        provider=record.provider,
        compartment=record.compartment,
        key=record.key,
        persistent=record.persistent,
        registered_by=str(record.in_use_by) if record.in_use_by else "",
        state=state or ("known" if live else ""),
    )


def rows_of(records: Sequence[IdentityRecord]) -> list[Row]:
    """Rows of a store's identities, with the links of this namespace."""
    links: dict[int, LinuxLink] = {}
    with contextlib.suppress(OSError, CompartmentError, NdisError):
        compartment = current_compartment()
        mine = [each for each in records if each.provider == PROVIDER_NAME]
        for match in recognise(read_links(), mine, compartment):
            if match.record is not None:
                links[match.record.net_luid] = match.link
    return [make_row(each, links.get(each.net_luid)) for each in records]


def resolve(rows: Sequence[Row], text: str) -> Row:
    """
    The one row that any form of identity names.

    Raises:
        NotFound: None, or more than one.
    """
    found = list(_named(rows, text))
    if not found:
        raise NotFound(f"no interface is {text!r}: see `ndisbridge list`")
    if len(found) > 1:
        names = ", ".join(f"{row.key} ({row.net_luid})" for row in found)
        raise NotFound(f"{text!r} is more than one: {names}")
    return found[0]


def _named(rows: Sequence[Row], text: str) -> Iterable[Row]:
    exact = [row for row in rows if text in {row.name, row.key}]
    if exact:
        return [row for row in exact if row.name == text] or exact
    with contextlib.suppress(ValueError):
        guid = str(uuid.UUID(text))
        return [row for row in rows if row.interface_guid == guid]
    if text.isdecimal() and int(text) <= 0x7FFFFFFF:
        number = int(text)
        live = [
            row
            for row in rows
            if row.if_index == number and row.status != "ABSENT"
        ]
        return live or [row for row in rows if row.if_index == number]
    with contextlib.suppress(InvalidParameterError):
        wanted = str(NetLuid.parse(text))
        return [row for row in rows if row.net_luid == wanted]
    return [row for row in rows if row.alias and row.alias == text]


# ---------------------------------------------------------------------------
# Output


def speed_text(bits: int | None) -> str:
    """A link speed as Windows shows it."""
    if bits is None:
        return ""
    for unit, size in (("Tbps", 10**12), ("Gbps", 10**9), ("Mbps", 10**6)):
        if bits >= size:
            return f"{bits / size:g} {unit}"
    return f"{bits / 1000:g} Kbps"


def console() -> Console:
    """The terminal; wide enough to be cut by nobody where it is none."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(
        width=250, no_color=True, highlight=False, force_terminal=False
    )


def _cell(field: str, value: Any) -> str:
    if field == "link_speed":
        return speed_text(value)
    return "" if value is None else str(value)


def show_rows(
    rows: Sequence[dict[str, Any]],
    output: str,
    columns: dict[str, str],
    caption: str = "",
) -> None:
    """Print rows in the format that was asked for."""
    if output == "json":
        click.echo(json.dumps(list(rows), indent=2, ensure_ascii=False))
    elif output == "jsonl":
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif output == "csv":
        names = list(columns.values())
        writer = csv.DictWriter(
            sys.stdout, names, extrasaction="ignore", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
    else:
        _show_table(rows, columns, caption)


def _show_table(
    rows: Sequence[dict[str, Any]], columns: dict[str, str], caption: str
) -> None:
    # Plain lines: what is copied from a terminal has no frames in it.
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, field in columns.items():
        table.add_column(
            heading,
            no_wrap=field != "interface_guid" or not sys.stdout.isatty(),
            justify="right" if field == "if_index" else "left",
        )
    for row in rows:
        cells = [_cell(field, row.get(field)) for field in columns.values()]
        style = {"UP": "green", "ABSENT": "dim"}.get(row.get("status", ""))
        table.add_row(*cells, style=style)
    console().print(table)
    if caption:
        click.echo(caption, err=True)


def all_columns(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Every field as a column of its own name."""
    return {name: name for row in rows[:1] for name in row}


def chosen_columns(text: str | None, output: str) -> dict[str, str]:
    """The columns of ``--columns``, or the usual ones."""
    fields = list(Row.__dataclass_fields__)
    if text is None:
        if output == "csv":
            return {name: name for name in fields}
        return COLUMNS
    by_name = {
        **{heading.lower(): field for heading, field in COLUMNS.items()},
        **{field: field for field in fields},
    }
    columns = {}
    for name in text.split(","):
        field = by_name.get(name.strip().lower())
        if field is None:
            raise click.UsageError(
                f"there is no column {name.strip()!r}: choose from "
                + ", ".join(fields)
            )
        columns[name.strip()] = field
    return columns


# ---------------------------------------------------------------------------
# Options that several commands share

_Command = Callable[..., Any]


def store_option(command: _Command) -> _Command:
    return click.option(
        "--store",
        envvar="NDISBRIDGE_STORE",
        metavar="PATH",
        help="The store [env: NDISBRIDGE_STORE; default: "
        f"{SYSTEM_STORE} for root, else in the state directory of the user].",
    )(command)


def output_option(command: _Command) -> _Command:
    return click.option(
        "-o",
        "--output",
        type=click.Choice(_FORMATS),
        default="table",
        show_default=True,
        help="How to print it.",
    )(command)


def columns_option(command: _Command) -> _Command:
    return click.option(
        "--columns", metavar="A,B,...", help="Columns of table and csv."
    )(command)


def compartment_option(command: _Command) -> _Command:
    return click.option(
        "--compartment",
        metavar="NAME",
        help="Name of this network namespace; by default its entry in "
        "/run/netns, none for the initial one.",
    )(command)


def parse_type(text: str) -> IfType:
    """An IfType by number, by name, or by the prefix of its ifName."""
    if text.isdecimal():
        number = int(text)
        if 0 < number <= 0xFFFF:
            return IfType(number)
    else:
        name = text.upper().replace("-", "_")
        if name in IfType.__members__:
            return IfType[name]
        with contextlib.suppress(InvalidParameterError):
            return NetLuid.parse(f"{text}_0").if_type
    raise click.BadParameter(
        f"{text!r} is no IfType: give a number, or a name such as ethernet, "
        "tunnel, bridge, l2_vlan"
    )


# ---------------------------------------------------------------------------
# Commands


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 not found, 2 usage, 3 store.",
)
@click.version_option(library_version(), prog_name="ndisbridge")
def main() -> None:
    """Interface identities that outlive reboots, renames and crashes.

    ID is any form of identity: a name (eth0), an ifIndex (4), a NET_LUID
    (0x0006000004000000, decimal, or ethernet_4), an interface GUID, a key or
    an alias.
    """


@main.command()
@store_option
@output_option
@columns_option
@compartment_option
def adopt(
    store: str | None,
    output: str,
    columns: str | None,
    compartment: str | None,
) -> None:
    """Adopt the links of this host, and show them.

    Each link gets a NET_LUID and a GUID that it has again on every later
    run, whatever it is called then.

    \b
    Example:
      ndisbridge adopt
      ip netns exec blue ndisbridge adopt -o json
    """
    chosen = chosen_columns(columns, output)
    with (
        open_session(store) as session,
        LinuxHost(session, compartment=compartment) as host,
    ):
        adoption = host.adopt()
        rows = [
            make_row(each.record, each.link, each.state.value)
            for each in adoption
        ]
        path = str(session.store)
    new = sum(row.state == "new" for row in rows)
    where = f" of compartment {host.compartment!r}" if host.compartment else ""
    show_rows(
        [row.fields() for row in rows],
        output,
        chosen,
        f"{len(rows)} links{where}, {new} of them new, in {path}",
    )
    for each in adoption:
        if each.error is not None:
            click.echo(f"{each.name}: {each.error}", err=True)


@main.command("list")
@store_option
@output_option
@columns_option
@click.option("--type", "if_type", metavar="TYPE", help="Of one IfType.")
@click.option("--provider", metavar="NAME", help="Of one provider.")
@click.option("--status", metavar="STATUS", help="UP, DOWN, ABSENT ...")
@click.option("--name", metavar="REGEX", help="Whose name matches.")
@click.option("--sort", metavar="COLUMN", help="Order by a column.")
def list_(
    store: str | None,
    output: str,
    columns: str | None,
    if_type: str | None,
    provider: str | None,
    status: str | None,
    name: str | None,
    sort: str | None,
) -> None:
    """List the identities of the store.

    Those of this host's own links are shown with what the kernel says of
    them now; ABSENT are those without a link here.

    \b
    Example:
      ndisbridge list --type ethernet --status up -o csv
    """
    chosen = chosen_columns(columns, output)
    with contextlib.closing(read_store(store)) as source:
        rows = rows_of(source.identities(provider=provider))
        path = source.path
    if if_type is not None:
        wanted = int(parse_type(if_type))
        rows = [row for row in rows if row.if_type == wanted]
    if status is not None:
        rows = [row for row in rows if row.status == status.upper()]
    if name is not None:
        try:
            pattern = re.compile(name)
        except re.error as problem:
            raise click.BadParameter(
                f"{name!r} is no regular expression: {problem}"
            ) from None
        rows = [row for row in rows if pattern.search(row.name)]
    if sort is not None:
        (field,) = chosen_columns(sort, output).values()
        rows.sort(
            key=lambda row: (
                getattr(row, field) is None,
                getattr(row, field) or 0
                if isinstance(getattr(row, field), int)
                else str(getattr(row, field)),
            )
        )
    show_rows(
        [row.fields() for row in rows],
        output,
        chosen,
        f"{len(rows)} identities in {path}",
    )


def _show_one(fields: dict[str, Any], output: str) -> None:
    if output == "table":
        width = max(len(name) for name in fields)
        for name, value in fields.items():
            click.echo(f"{name:{width}}  {_cell(name, value)}".rstrip())
    elif output == "json":
        click.echo(json.dumps(fields, indent=2, ensure_ascii=False))
    else:
        show_rows([fields], output, all_columns([fields]))


@main.command()
@click.argument("ident", metavar="ID")
@store_option
@output_option
def show(ident: str, store: str | None, output: str) -> None:
    """Show everything about one identity.

    \b
    Example:
      ndisbridge show ethernet_4
    """
    with contextlib.closing(read_store(store)) as source:
        row = resolve(rows_of(source.identities()), ident)
    _show_one(row.fields(), output)


@main.command()
@click.argument("key")
@store_option
@output_option
@compartment_option
@click.option(
    "--type",
    "if_type",
    default="ethernet",
    show_default=True,
    metavar="TYPE",
    help="IfType of a new one, by number or name.",
)
@click.option(
    "--provider",
    default=PROVIDER_NAME,
    show_default=True,
    metavar="NAME",
    help="Whose it is.",
)
@click.option("--field", metavar="NAME", help="Print one field only.")
def reserve(
    key: str,
    store: str | None,
    output: str,
    compartment: str | None,
    if_type: str,
    provider: str,
    field: str | None,
) -> None:
    """Make an identity, or find it, and print its ifIndex and NET_LUID.

    A link that is created with that ifIndex, under the name KEY, is
    recognised by `adopt` as this identity.

    \b
    Example:
      ip link add vpn0 index $(ndisbridge reserve vpn0 --field if_index) \\
          type ifb
    """
    wanted = parse_type(if_type)
    if provider == PROVIDER_NAME:
        compartment = current_compartment(compartment)
    with open_session(store) as session:
        owner = session.register_provider(
            provider, compartment=compartment or ""
        )
        identity = owner.identity(key, wanted)
        fields = make_row(identity.record, None).fields()
    if field is None:
        _show_one(fields, output)
    elif field in fields:
        click.echo(fields[field])
    else:
        raise click.UsageError(
            f"there is no field {field!r}: choose from " + ", ".join(fields)
        )


@main.command()
@click.argument("ident", metavar="ID")
@store_option
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
def release(ident: str, store: str | None, yes: bool) -> None:
    """Give an identity up for good.

    Its NET_LUID and GUID may be another interface's next.
    """
    path = store or own_store()
    if not os.path.exists(path):
        raise StoreNotFoundError("there is no such store", path)
    with open_session(store) as session:
        records = list(session.identities())
        row = resolve(rows_of(records), ident)
        (record,) = (
            each
            for each in records
            if str(NetLuid(each.net_luid)) == row.net_luid
        )
        if not yes and sys.stdin.isatty():
            click.confirm(
                f"Release {row.key} ({row.net_luid_name}) for good?",
                abort=True,
            )
        elif not yes:
            raise click.UsageError("nobody to ask here: give --yes")
        session.release(record)
    click.echo(f"released {row.key} ({row.net_luid})", err=True)


def _plain(value: Any) -> Any:
    """A value of an OID as JSON can have it."""
    if isinstance(value, Structure):
        return {
            name: _plain(getattr(value, name))
            for name in value.__dataclass_fields__  # type: ignore[attr-defined]
        }
    if isinstance(value, bytes):
        return value.hex(":")
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return getattr(value, "name", int(value))


@main.command()
@click.argument("ident", metavar="ID")
@click.argument("oid")
@store_option
@output_option
def query(ident: str, oid: str, store: str | None, output: str) -> None:
    """Ask one of this host's links for an OID.

    OID is a name of the catalog (GEN_STATISTICS, with or without OID_) or a
    number. Handlers and values of interfaces that other processes have
    registered are theirs: only links of this host are answered here.

    \b
    Example:
      ndisbridge query eth0 GEN_STATISTICS
    """
    try:
        number = oid_number(oid)
    except NdisError as problem:
        raise NotFound(str(problem)) from None
    row = _live_row(ident, store)
    if row.status == "ABSENT":
        raise NotFound(
            f"{row.key} has no link here: values of interfaces that other "
            "processes have registered are theirs alone"
        )
    with Session() as session, LinuxHost(session, compartment="-") as host:
        for each in host.adopt():
            if each.if_index == row.if_index and each.interface is not None:
                value = _plain(session.query(each.net_luid, number))
                break
        else:
            raise NotFound(f"{row.name} is gone")
    fields = value if isinstance(value, dict) else {"value": value}
    if output == "table" and not isinstance(value, dict):
        click.echo(value)
    else:
        _show_one(fields, output)


def _live_row(ident: str, store: str | None) -> Row:
    """A row of the store, or of a link that the store does not know."""
    try:
        with contextlib.closing(read_store(store)) as source:
            return resolve(rows_of(source.identities()), ident)
    except (StoreNotFoundError, NotFound):
        for link in read_links():
            if ident in {link.name, str(link.if_index)}:
                return _unknown_row(link)
        raise


def _unknown_row(link: LinuxLink) -> Row:
    record = IdentityRecord(
        compartment="",
        provider=PROVIDER_NAME,
        key=link.name,
        net_luid=int(NetLuid.make(link.if_type, 0)),
        interface_guid=uuid.UUID(int=0),
    )
    return make_row(record, link)


@main.command()
@output_option
def stack(output: str) -> None:
    """Show what runs on what: the interface stack of this host's links.

    \b
    Example:
      ndisbridge stack -o json
    """
    with Session() as session, LinuxHost(session, compartment="-") as host:
        names = {each.if_index: each.name for each in host.adopt()}
        table: Any = session.if_stack_table().tolist()
        rows = [
            {
                "higher": names.get(higher, ""),
                "higher_if_index": higher,
                "lower": names.get(lower, ""),
                "lower_if_index": lower,
            }
            for higher, lower in table
        ]
    columns = {
        "Higher": "higher",
        "ifIndex": "higher_if_index",
        "Lower": "lower",
        "ifIndex ": "lower_if_index",
    }
    if output == "csv":
        columns = {name: name for name in columns.values()}
    show_rows(rows, output, columns)


@main.command()
@click.argument("text", nargs=-1, required=True)
@output_option
def convert(text: tuple[str, ...], output: str) -> None:
    """Show a NET_LUID in all its forms. Needs no store.

    TEXT is a name, a decimal or hexadecimal number, 06:8001, or an IfType
    and a NET_LUID index.

    \b
    Example:
      ndisbridge convert ethernet_32768
      ndisbridge convert ethernet 32768
    """
    if len(text) == 2 and text[1].isdecimal():
        net_luid = NetLuid.make(parse_type(text[0]), int(text[1]))
    elif len(text) == 1:
        net_luid = NetLuid.parse(text[0])
    else:
        raise click.UsageError("give one NET_LUID, or an IfType and an index")
    if_type, net_luid_index = net_luid.if_type, net_luid.net_luid_index
    _show_one(
        {
            "net_luid": str(net_luid),
            "decimal": int(net_luid),
            "name": net_luid.name,
            "if_type": int(if_type),
            "if_type_name": if_type.name,
            "net_luid_index": net_luid_index,
            "debugger": f"{if_type:02X}:{net_luid_index:02X}",
        },
        output,
    )


@main.group()
def store() -> None:
    """Look after the store itself."""


@contextlib.contextmanager
def _store_to_look_after(given: str | None) -> Any:
    """The store itself if it may be written, else a snapshot of it."""
    path = store_to_read(given)
    if not os.path.lexists(path):
        raise StoreNotFoundError("there is no such store", path)
    try:
        source = SqliteStore(path)
    except StorePermissionError:
        source = SqliteStore(path, read_only=True)
    with contextlib.closing(source):
        yield source


@store.command()
@store_option
@output_option
def check(store: str | None, output: str) -> None:
    """Verify the store: every page, row, checksum and lease.

    Exit code 3 if something is wrong.
    """
    with _store_to_look_after(store) as source:
        problems = source.check()
        count = source.stats().identities
    if output == "table":
        for problem in problems:
            click.echo(str(problem))
        if not problems:
            click.echo(f"{source}: {count} identities, no problem")
    else:
        rows = [{"kind": p.kind, "text": p.text} for p in problems]
        show_rows(rows, output, {"kind": "kind", "text": "text"})
    if problems:
        sys.exit(STORE)


@store.command()
@store_option
@output_option
def stats(store: str | None, output: str) -> None:
    """Show the figures of the store."""
    with _store_to_look_after(store) as source:
        found = source.stats()
    types = [
        {
            "if_type": each.if_type,
            "name": IfType(each.if_type).name if each.if_type else "ifIndexes",
            "retained": each.retained,
            "leased_blocks": each.leased_blocks,
        }
        for each in found.types
    ]
    others = [each for each in found.sessions if each.pid != os.getpid()]
    fields = {
        "store": found.store,
        "version": found.version,
        "size": found.size,
        "identities": found.identities,
        "sessions": [str(each) for each in others],
        "types": types,
    }
    if output in {"json", "jsonl"}:
        indent = 2 if output == "json" else None
        click.echo(json.dumps(fields, indent=indent, ensure_ascii=False))
        return
    if output == "table":
        click.echo(
            f"{found.store}: format {found.version}, {found.size} bytes, "
            f"{found.identities} identities"
        )
        for each in others:
            click.echo(f"in use by {each}")
    columns = ["if_type", "name", "retained", "leased_blocks"]
    show_rows(types, output, {name: name for name in columns})


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what completes the command in a shell.

    \b
    Example:
      ndisbridge completion bash > /etc/bash_completion.d/ndisbridge
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    made = found(main, {}, "ndisbridge", "_NDISBRIDGE_COMPLETE")
    # Not made by source(), which asks bash for its version.
    click.echo(made.source_template % made.source_vars())


# ---------------------------------------------------------------------------
# The way out


def _fail(problem: BaseException, code: int) -> NoReturn:
    click.echo(f"ndisbridge: {problem}", err=True)
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """
    Run the command and exit: no traceback for what a user can mend.

    ``NDISBRIDGE_DEBUG=1`` shows it all the same.
    """
    try:
        main.main(arguments, "ndisbridge", standalone_mode=False)
        sys.stdout.flush()
    except Exception as problem:
        if os.environ.get("NDISBRIDGE_DEBUG"):
            raise
        _explain(problem)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(OK)


def _explain(problem: Exception) -> NoReturn:
    if isinstance(problem, click.exceptions.Abort):
        _fail(click.ClickException("stopped"), 130)
    if isinstance(problem, click.exceptions.Exit):
        sys.exit(problem.exit_code)
    if isinstance(problem, click.UsageError):
        problem.show()
        sys.exit(USAGE)
    if isinstance(problem, click.ClickException):
        _fail(Exception(problem.format_message()), problem.exit_code)
    if isinstance(problem, BrokenPipeError):
        # Nobody reads on; what is left to flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(OK)
    if isinstance(problem, (StoreError, OSError)):
        _fail(problem, STORE)
    if isinstance(problem, (CompartmentError, InvalidParameterError)):
        _fail(problem, USAGE)
    if isinstance(problem, (LookupError, NdisError)):
        _fail(problem, NOT_FOUND)
    raise problem
