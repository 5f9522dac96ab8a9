"""Entries of a store as a table for a terminal, or as JSON."""

from advisor import units
from advisor.inert.record import as_json, inert_parts
from advisor.inert.text import inert
from advisor.schema.record import SCHEMA_VERSION
from advisor.schema.store import Entry, Listing

SHOWN_DIGITS = 12  # of a digest: enough to name an entry by


def render_entries(entries: tuple[Entry, ...], format_: str) -> str:
    """Return entries as a line each, or as JSON, with a newline at the end."""
    if format_ == "json":
        return as_json(Listing(schema_version=SCHEMA_VERSION, entries=entries), indent=1).decode()
    lines = [f"{'key':<12}  {'kind':<8}  {'made':<10}  {'size':>8}  {'model':<12}  {'stands on':<12}  machine"]
    for entry in map(inert_parts, entries):
        key = entry.key
        stands_on = "" if entry.stands_on is None else entry.stands_on[:SHOWN_DIGITS]
        lines.append(
            f"{entry.key_sha256[:SHOWN_DIGITS]:<12}  {key.kind:<8}  {entry.created[:10]:<10}  {units.size(size_of(entry)):>8}  "
            f"{key.model_sha256[:SHOWN_DIGITS]:<12}  {stands_on:<12}  {key.machine or ''}".rstrip()
        )
    return "\n".join(lines) + "\n"


def size_of(entry: Entry) -> int:
    """Return the bytes of all files of an entry; files that others have too lie in the store once."""
    return sum(file.bytes for file in entry.files)


def entry_line(entry: Entry, folder: str) -> str:
    """Return what was written where."""
    names = ", ".join(inert(file.name) for file in entry.files)
    return f"{inert(folder)}: {entry.key.kind} {entry.key_sha256[:SHOWN_DIGITS]}: {names}\n"


def removed_line(entries: int, files: int, size_bytes: int) -> str:
    """Return what a removal took away."""
    return (
        f"{entries:,} {'entry' if entries == 1 else 'entries'} removed, and {units.counted(files, 'file')} "
        f"that nothing names any more ({units.size(size_bytes)})\n"
    )
