"""The colors of reports: each by its name, on white paper and on dark.

A specification holds those for white paper, so that it is whole in every viewer. Styles put the dark ones in their place by their value,
which is why no two names may share one.
"""

from typing import NamedTuple


class Color(NamedTuple):
    """A color on white paper, and what stands for it on dark."""

    light: str
    dark: str


INK, SOFT, LINE, PAPER = "ink", "soft", "line", "paper"
ACCENT, WARN, GOOD = "accent", "warn", "good"
PALETTE = {
    INK: Color("#15191e", "#e7eaee"),
    SOFT: Color("#56616c", "#a2adb8"),
    LINE: Color("#d8dde2", "#353c44"),
    PAPER: Color("#ffffff", "#14171b"),
    "wash": Color("#f4f6f8", "#1c2126"),
    ACCENT: Color("#0b5ea8", "#7ab8f5"),
    WARN: Color("#a3360a", "#f2a274"),
    GOOD: Color("#0d6a47", "#72cfa3"),
    "c0": Color("#5f6b76", "#a0abb6"),
    "c1": Color("#0b6bb8", "#66b4f4"),
    "c2": Color("#b34a08", "#ff9c60"),
    "c3": Color("#00796b", "#4fc5b3"),
    "c4": Color("#9c3f8f", "#df93d5"),
    "c5": Color("#8a6d00", "#dcc04e"),
    "c6": Color("#3b4cc0", "#9ba7ff"),
    "c7": Color("#a8324a", "#f48fa3"),
}
COLORS = 8  # for variants and devices; a ninth starts over, and differs by its name
SHAPES = ("circle", "square", "triangle-up", "diamond")  # those of the swatches beside names in tables


def light(name: str) -> str:
    """Return a color on white paper."""
    return PALETTE[name].light


def color_of(number: int) -> str:
    """Return the color of a variant or a device by its number."""
    return light(f"c{number % COLORS}")


def shape_of(number: int) -> str:
    """Return the mark of a variant or a device by its number."""
    return SHAPES[number % len(SHAPES)]


def declarations(*, dark: bool) -> str:
    """Return the colors as custom properties of a style sheet."""
    return " ".join(f"--{name}: {color.dark if dark else color.light};" for name, color in PALETTE.items())


def replacements(within: str = "") -> str:
    """Return the rules by which drawings take the colors of the page in the place of those that they were made in."""
    return "\n".join(
        f'{within}[{channel}="{color.light}"] {{ {channel}: var(--{name}); }}'
        for name, color in PALETTE.items()
        for channel in ("fill", "stroke")
    )
