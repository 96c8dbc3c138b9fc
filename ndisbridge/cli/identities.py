# SPDX-License-Identifier: MIT
"""
Commands on identities: adopt, list, show, reserve, release.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys

import click

from ..net_luid import NetLuid
from ..persistence import (
    StoreNotFoundError,
)
from ..proxy.compartments import current_compartment
from ..proxy.linux import PROVIDER_NAME, LinuxHost
from .options import (
    columns_option,
    compartment_option,
    output_option,
    parse_type,
    store_option,
)
from .output import chosen_columns, show_one, show_rows
from .rows import make_row, resolve, rows_of
from .stores import open_session, own_store, read_store


@click.command()
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


@click.command("list")
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


@click.command()
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
    show_one(row.fields(), output)


@click.command()
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
        show_one(fields, output)
    elif field in fields:
        click.echo(fields[field])
    else:
        raise click.UsageError(
            f"there is no field {field!r}: choose from " + ", ".join(fields)
        )


@click.command()
@click.argument("ident", metavar="ID")
@store_option
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
def release(ident: str, store: str | None, yes: bool) -> None:
    """Give an identity up for good.

    Its NET_LUID and GUID may be another interface's next.

    \b
    Example:
      ndisbridge release vpn0 --yes
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
