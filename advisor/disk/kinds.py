"""The kinds of files that commands write, each known by its content: an output takes the place of an older one of its kind alone."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from advisor import __version__

LOOKED_AT_BYTES = 8192  # of the beginning, and as many of the end
NAME = b"serving-advisor"


class Kind(NamedTuple):
    """A kind of output: what it is called, how it is recognized, and what is put at the end of a file so that it is."""

    what: str
    is_begun_by: Callable[[bytes], bool]
    ends: str = ""
    digests: frozenset[str] = frozenset()  # SHA-256 of the files that are of it, where no beginning tells

    def is_at(self, path: Path) -> bool:
        """Return whether the file is of this kind; however much of it was damaged since, its beginning says so."""
        with path.open("rb") as file:
            if self.digests:
                import hashlib

                return hashlib.file_digest(file, "sha256").hexdigest() in self.digests
            head = file.read(LOOKED_AT_BYTES)
            if not self.ends:
                return self.is_begun_by(head)
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOOKED_AT_BYTES))
            return self.is_begun_by(file.read())


def _beginning(pattern: bytes) -> Callable[[bytes], bool]:
    return lambda head: re.match(pattern, head) is not None


def _anywhere(pattern: bytes) -> Callable[[bytes], bool]:
    return lambda part: re.search(pattern, part) is not None


def _nothing(_: bytes) -> bool:
    return False


def table(what: str, columns: tuple[str, ...]) -> Kind:
    """Return the kind of a CSV file with these columns and no others, in any order."""

    def is_begun_by(head: bytes) -> bool:
        first = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode(errors="replace")
        return sorted(name.strip().strip('"') for name in first.split(",")) == sorted(columns)

    return Kind(what, is_begun_by)


_VERSION = rb'\s*\{\s*"schema_version":\s*\d+,\s*'
_MADE = _VERSION + rb'"created":\s*"[^"]*",\s*"advisor_version":\s*"[^"]*",\s*'
_KIND = rb'\s*\{\s*"kind":\s*"\w+",\s*"schema_version":\s*\d+,\s*'
# The first way is how they began until schema version 2, the last that of generative models.
PROFILE = Kind("profile", _beginning(b"(?:" + _MADE + rb'"fingerprint":|' + _VERSION + rb'"model":|' + _KIND + rb'"model":)'))
ADVICE = Kind("advice", _beginning(b"(?:" + _MADE + rb'"profile_sha256":|' + _KIND + rb'"created":)'))
CLASSIFICATION = Kind("classification", _beginning(_MADE + rb'"workload":'))
COMPARISON = Kind("comparison", _beginning(rb'\s*\{\s*"kind":\s*"comparison",'))
OVERVIEW = Kind("overview", _beginning(rb'\s*\{\s*"kind":\s*"overview",'))
JUNIT = Kind("JUnit report", _anywhere(rb'<testsuites name="' + NAME))
STUDENT = Kind("student", _beginning(_VERSION + rb'"recipe":'))
PORTFOLIO = Kind("plan of a portfolio", _beginning(_MADE + rb'"name":'))
SWEEP = Kind("index of a sweep", _beginning(rb'\s*\{\s*"kind":\s*"sweep",'))
# YAML that a sweep makes of the user's files.
MADE_YAML_BEGINS = b"# made by serving-advisor sweep"
MADE_YAML = Kind("file of a sweep", _beginning(re.escape(MADE_YAML_BEGINS)))
ROWS = Kind("rows of advice", _beginning(rb'\{"id":"[\w.-]+","outcome":"'))
HTML = Kind("HTML report", _anywhere(rb'<meta name="generator" content="' + NAME))
MARKDOWN = Kind("Markdown report", _beginning(rb"(?:# .*\n\n)?<!-- " + NAME + rb"\b"))
SVG = Kind("picture of a chart", _anywhere(rb"<!-- " + NAME + rb" -->"))
TEXT = Kind("text report", _anywhere(rb"(?:\A|\n)\(" + NAME + rb" [\w.+-]+\)\s*\Z"), f"({NAME.decode()} {__version__})\n")
# What lies in the folder of an export; its other files are known by the digests that stand in there.
EXPORT = Kind("list of exported files", _beginning(_KIND + rb'"target":'))
# A record by its name -> the JSON file of it: none of the records is loaded for that.
OF_RECORDS = {
    "Profile": PROFILE,
    "GenerationProfile": PROFILE,
    "Advice": ADVICE,
    "OfflineAdvice": ADVICE,
    "GenerationAdvice": ADVICE,
    "LanguageAdvice": ADVICE,
    "Classification": CLASSIFICATION,
    "Comparison": COMPARISON,
    "Overview": OVERVIEW,
    "PortfolioPlan": PORTFOLIO,
    "SweepIndex": SWEEP,
    "Distilled": STUDENT,
}
OF_FORMATS = {"html": HTML, "junit": JUNIT, "md": MARKDOWN, "text": TEXT}


def rendered(document: object, format_: str) -> Kind:
    """Return the kind of a document in a format."""
    return OF_RECORDS[type(document).__name__] if format_ == "json" else of_format(format_)


def of_format(format_: str) -> Kind:
    """Return the kind of reports in a format of templates or in text; one that has no mark takes the place of nothing."""
    return OF_FORMATS.get(format_) or Kind(f"{format_} report", _nothing)


def exported(*digests: str | None) -> Kind:
    """Return the kind of a file that an export wrote, and nobody changed since: one of these digests, or what is to be written."""
    return Kind("unchanged export", _nothing, digests=frozenset(digest for digest in digests if digest is not None))
