# SPDX-License-Identifier: MIT
"""
Commands on identities: list, show, reserve, release.
"""

from __future__ import annotations

import contextlib
import re
import sys
from typing import Any

import click

from ..constants import IfType
from ..exceptions import NdisError
from ..net_luid import NetLuid
from ..proxy.linux import PROVIDER_NAME
from ..proxy.linux.compartments import current_compartment
from ..proxy.linux.links import read_links
from ..proxy.linux.recognition import recognise
from ..proxy.linux.settings import write_tag
from ..session import Session
from .errors import HOST
from .options import (
    columns_option,
    compartment_option,
    identity_argument,
    output_option,
    parse_type,
    store_option,
    type_option,
)
from .output import (
    cell,
    chosen_columns,
    count_of,
    show_one,
    show_rows,
    sort_field,
)
from .rows import STATUSES, Row, make_row, resolve, rows_of, this_compartment
from .stores import open_session, own_store, read_store, refuse_absent
from .streams import note, printable, write
from .watching import FORMATS as WATCHED
from .watching import by_if_index, watch_rows


@click.command("list")
@store_option
@output_option
@columns_option
@compartment_option
@type_option("Of one IfType.")
@click.option("--provider", metavar="NAME", help="Of one provider.")
@click.option(
    "--status",
    type=click.Choice(STATUSES, case_sensitive=False),
    metavar="STATUS",
    help="UP, DOWN, ABSENT ...",
)
@click.option("--name", metavar="REGEX", help="Whose name matches.")
@click.option("--sort", metavar="COLUMN", help="Order by a column.")
@click.option(
    "-w",
    "--watch",
    is_flag=True,
    help="Keep it current until an interrupt; with -o jsonl write events, as "
    "`ndisbridge watch` does.",
)
def list_(
    store: str | None,
    output: str,
    columns: str | None,
    compartment: str | None,
    if_type: str | None,
    provider: str | None,
    status: str | None,
    name: str | None,
    sort: str | None,
    watch: bool,
) -> None:
    """List the identities of the store.

    Those of this host's own links are shown with what the kernel says of
    them now; ABSENT are those without a link here.

    \b
    Example:
      ndisbridge list --type ethernet --status up -o csv
    """
    chosen = chosen_columns(columns)
    wanted = None if if_type is None else int(parse_type(if_type))
    pattern = None if name is None else _parse_pattern(name)
    field = None if sort is None else sort_field(sort)

    def keep(row: Row) -> bool:
        return (
            wanted in {None, row.if_type}
            and provider in {None, row.provider}
            and status in {None, row.status}
            and (pattern is None or pattern.search(row.name) is not None)
        )

    if watch:
        if output not in WATCHED:
            raise click.UsageError(
                f"-o {output} has an end: --watch takes "
                + " or ".join(WATCHED)
            )
        watch_rows(
            store,
            compartment,
            output,
            chosen,
            lambda row: bool(row.net_luid) and keep(row),
            by_if_index
            if field is None
            else lambda rows: sorted(
                rows, key=lambda row: _sort_key(row, field)
            ),
        )
        return
    with contextlib.closing(read_store(store)) as source:
        rows = rows_of(
            source.identities(provider=provider),
            this_compartment(compartment),
        )
        path = str(source)
    rows = [row for row in rows if keep(row)]
    if field is not None:
        rows.sort(key=lambda row: _sort_key(row, field))
    show_rows(
        [row.fields() for row in rows],
        output,
        chosen,
        f"{count_of(len(rows), 'identity', 'identities')} in {path}",
    )


def _parse_pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as problem:
        raise click.BadParameter(
            f"{text!r} is no regular expression: {problem}"
        ) from None


def _sort_key(row: Row, field: str) -> tuple[bool, Any]:
    """What is not known comes last; numbers go by their value."""
    value = getattr(row, field)
    return value is None, value if isinstance(value, int) else str(value)


@click.command()
@identity_argument
@store_option
@output_option
@compartment_option
def show(
    ident: str, store: str | None, output: str, compartment: str | None
) -> None:
    """Show everything about one identity.

    \b
    Example:
      ndisbridge show ethernet_4
    """
    with contextlib.closing(read_store(store)) as source:
        here = this_compartment(compartment)
        row = resolve(rows_of(source.identities(), here), ident, here)
    show_one(row.fields(), output)


@click.command()
@click.argument("key")
@store_option
@output_option
@compartment_option
@type_option(
    "IfType, by number or name; one that is there already has it, a new one "
    "is ethernet by default."
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
    if_type: str | None,
    provider: str,
    field: str | None,
) -> None:
    """Make an identity, or find it, and print its ifIndex and NET_LUID.

    A link that is created with that ifIndex, under the name KEY, is
    recognised by `adopt` as this identity.

    Of a link that was adopted but never reserved, the ifIndex is the
    kernel's, as last seen: it may be taken when the link is created again.

    \b
    Example:
      ip link add vpn0 index $(ndisbridge reserve vpn0 --field if_index) \\
          type ifb
    """
    wanted = None if if_type is None else parse_type(if_type)
    fields = list(Row.__dataclass_fields__)
    if field is not None and field not in fields:
        raise click.UsageError(
            f"there is no field {field!r}: choose from " + ", ".join(fields)
        )
    if compartment is not None or provider == PROVIDER_NAME:
        compartment = current_compartment(compartment)
    with open_session(store) as session:
        owner = session.register_provider(
            provider, compartment=compartment or ""
        )
        known = owner.find(key)
        if known is not None:
            has = known.net_luid.if_type
            if wanted not in {None, has}:
                raise click.UsageError(
                    f"{key!r} is there already, with the IfType {has.name} "
                    f"({int(has)}): it can't become {wanted.name} "
                    f"({int(wanted)})"
                )
            wanted = has
        identity = owner.identity(key, wanted or IfType.ETHERNET_CSMACD)
        row = make_row(identity.record, None)
        taken = _taken(row, session) if provider == PROVIDER_NAME else None
    if field is None:
        show_one(row.fields(), output)
    else:
        write(cell("", getattr(row, field)))
    if taken:
        note(f"{key}: {taken}")
        click.get_current_context().exit(HOST)


def _taken(row: Row, session: Session) -> str:
    """What has the ifIndex that was reserved, if anything else has it."""
    if row.reserved_if_index is None:
        return ""
    records = list(session.identities(provider=PROVIDER_NAME))
    links = read_links()
    for match in recognise(links, records, row.compartment):
        if match.link.if_index != row.reserved_if_index:
            continue
        if match.record is None or str(NetLuid(match.record.net_luid)) != (
            row.net_luid
        ):
            return (
                f"the kernel has given the ifIndex {row.if_index} to "
                f"{match.link.name!r} already: delete that link, or release "
                "this identity and reserve it again"
            )
    return ""


@click.command()
@identity_argument
@store_option
@compartment_option
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
def release(
    ident: str, store: str | None, compartment: str | None, yes: bool
) -> None:
    """Give an identity up for good.

    Its NET_LUID and GUID may be another interface's next.

    \b
    Example:
      ndisbridge release vpn0 --yes
    """
    refuse_absent(own_store() if store is None else store)
    here = this_compartment(compartment)
    with open_session(store) as session:
        records = list(session.identities())
        row = resolve(rows_of(records, here), ident, here)
        (record,) = (
            each
            for each in records
            if str(NetLuid(each.net_luid)) == row.net_luid
        )
        if not yes and sys.stdin.isatty():
            click.confirm(
                f"Release {printable(row.key)} ({row.net_luid_name}) "
                "for good?",
                abort=True,
            )
        elif not yes:
            raise click.UsageError("nobody to ask here: give --yes")
        session.release(record)
    _untag(record.net_luid)
    note(f"released {row.key} ({row.net_luid})")
    if row.provider == PROVIDER_NAME and here not in {None, row.compartment}:
        note(
            f"if its link in compartment {row.compartment!r} has the altname "
            f"ndis-luid-{row.net_luid[2:]}, take that off: it would pass for "
            "the next one's"
        )


def _untag(net_luid: int) -> None:
    """A tag that outlived its identity would pass for the next one's."""
    with contextlib.suppress(NdisError, OSError):
        for link in read_links():
            if link.tagged_net_luid == net_luid:
                try:
                    write_tag(link, 0)
                except OSError as error:
                    note(f"{link.name}: {error.strerror}")
