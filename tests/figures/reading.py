"""The figures of a text: estimates with their interval, and what stands by itself with its unit."""

import re
from functools import cache
from typing import NamedTuple

NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
MONEY = rf"[-+]?\${NUMBER}[kMB]?(?:/h|/month|/year| an hour| a month| a year)?(?![\w/])"
UNITS = r"µs|ms|s|min|h|%|pp|/s|mJ|J|kJ|MJ|kWh|g|kg|t|B|kB|MB|GB|TB|months?|years?|engineer days|days|requests a day"
PLAIN = rf"-?{NUMBER}(?: (?:{UNITS})|×)(?![\w/])"
SHOWN = rf"(?<![\w.,/–-])(?:{MONEY}|{PLAIN}|-?{NUMBER})"
ESTIMATE = re.compile(
    rf"(?:{SHOWN} to )?{SHOWN} \((?:[^()]+, )?(?:measured|interpolated|simulated|projected|list-price|assumed)\)"
)
FIGURE = re.compile(rf"(?<![\w.,/–-])(?:{MONEY}|{PLAIN})")
WORDS = {" an hour": "/h", " a month": "/month", " a year": "/year"}


class Read(NamedTuple):
    """The figures of a text."""

    estimates: list[str]
    figures: list[str]


@cache  # the same sentence stands in several formats, and is read by several tests
def read(text: str) -> Read:
    """Return what a text gives in figures."""
    estimates = [found[0] for found in ESTIMATE.finditer(text)]
    figures = [found[0] for found in FIGURE.finditer(ESTIMATE.sub(" ", text))]
    for word, sign in WORDS.items():
        figures = [figure.replace(word, sign) for figure in figures]
    return Read(estimates, figures)
