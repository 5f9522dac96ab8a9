"""Which items no student learns from: decided by the item alone, so that it is the same in every run, file and order."""

from typing import NamedTuple

from advisor.errors import InputError

KEY = "--data"
HELD_OUT = 0.1  # of all items
FEWEST_HELD_OUT, FEWEST_LEARNED = 5, 20


def is_held_out(digest: bytes) -> bool:
    """Return whether no student learns from the item with this digest."""
    return int.from_bytes(digest[:8], "big") < HELD_OUT * 2**64


def refuse_few(learned: int, held_out: int, where: object, what: str) -> None:
    """Raise InputError where there are too few items to learn from, or to hold out."""
    if held_out < FEWEST_HELD_OUT or learned < FEWEST_LEARNED:
        raise InputError(
            f"{KEY}: {where}: {learned + held_out} different {what}, of which {learned} are learned from and {held_out} held out",
            hint=f"give more: {FEWEST_LEARNED} to learn from and {FEWEST_HELD_OUT} held out at the least, as some 100 {what} have",
        )


class Counted(NamedTuple):
    """What a file of items is known by: the digest of all, how many they are, and how many of them are held out."""

    sha256: str
    items: int
    held_out: int
    learned: bytes = b""  # the digests of the others, packed
