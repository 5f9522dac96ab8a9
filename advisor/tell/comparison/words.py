"""The words of a comparison, once for every format: money first, then what a reader of a pull request decides by."""

import hashlib
from collections.abc import Callable
from typing import Literal

from advisor import units
from advisor.quality_floor import level_format, loss_format
from advisor.schema.gate.comparison import Comparison, Figure, Held, Kept, LimitFinding, Side
from advisor.schema.record import Estimate, Record
from advisor.tell.words.figures import Format, Part, as_text, figure

MOST_NOTES = 3  # a comment has twenty lines
ABSENT = "not known"
TITLES: dict[Held, str] = {"kept": "passes", "broken": "fails", "cannot be told": "cannot be told"}
LABELS: dict[str, tuple[str, Format]] = {
    "cost_usd_per_month": ("Cost a month", units.usd),
    "cost_usd": ("Cost of the job", units.usd),
    "latency_p99_s": ("p99 latency", units.seconds),
    "ttft_p99_s": ("TTFT p99", units.seconds),
    "tpot_p99_s": ("TPOT p99", units.seconds),
    "duration_s": ("Time", units.seconds),
    "throughput_items_per_s": ("Measured throughput", units.rate),
    "decode_tokens_per_s": ("Measured generation", units.rate),
    "quality": ("Quality", units.percent),
    "energy_joules_per_request": ("Energy a request", units.joules),
    "energy_j_per_output_token": ("Energy a token", units.joules),
    "bytes": ("Size of the file", units.size),
    "weight_bytes_per_device": ("Weights on a device", units.size),
    "valid_days": ("Valid for", lambda days: f"{units.number(days)} days"),
}
PROMISES = {"meets_slo": "SLO", "meets_deadline": "Deadline"}
BOUNDS = {
    "max_increase": "at most {} more",
    "max_decrease": "at most {} less",
    "max_drop": "at most {} lost",
    "max": "at most {}",
    "min": "at least {}",
}
MONEY = {"cost_usd_per_month", "cost_usd"}
RELATIVE = {"max_increase", "max_decrease", "max_drop"}


class FigureRow(Record, frozen=True, kw_only=True):
    """A figure before and now, how it changed, and the limits on it."""

    label: str
    before: Part
    now: Part
    change: str
    limit: str


class Case(Record, frozen=True, kw_only=True):
    """A limit as a test case."""

    name: str
    state: Literal["passed", "failed", "error", "skipped"]
    message: str


class ComparisonWords(Record, frozen=True, kw_only=True):
    """All that a report on a comparison says."""

    marker: str  # the same for every comparison on one workload, by which a comment is found again
    title: str
    headline: str
    is_pair: bool
    rows: tuple[FigureRow, ...]
    notes: tuple[str, ...]  # few enough for a comment
    all_notes: tuple[str, ...]
    suite: str
    cases: tuple[Case, ...]
    written: str


def comparison_words(document: Comparison) -> ComparisonWords:
    """Return the words of a comparison, or of one file held against a policy."""
    notes = (*_configurations(document), *document.notes)
    more = len(notes) - MOST_NOTES
    kept = notes if more <= 0 else (*notes[: MOST_NOTES - 1], f"and {more + 1} more, in `--format json`")
    return ComparisonWords(
        marker=marker(document.workload),
        title=f"{document.workload}: {TITLES[document.held]}",
        headline=headline(document),
        is_pair=document.old is not None,
        rows=tuple(_rows(document)),
        notes=kept,
        all_notes=notes,
        suite=f"advisor.{'compare' if document.old is not None else 'gate'}.{document.workload}",
        cases=tuple(_case(document, finding) for finding in document.limits),
        written=f"serving-advisor {document.advisor_version}, {units.moment(document.created)}",
    )


def marker(workload: str) -> str:
    """Return the mark of comments on a workload; of its name a hash, for a name may hold what ends a comment of HTML."""
    return f"serving-advisor comparison {hashlib.sha256(workload.encode(errors='replace')).hexdigest()[:12]}"


def headline(document: Comparison) -> str:
    """Return the verdict in one sentence, money first, with the limits that decide it."""
    decisive = [
        it for it in document.limits if it.level == "error" and it.held == document.held != "kept" and it.figure not in PROMISES
    ]
    money = next((it for it in document.figures if it.name in MONEY), None)
    of_money = [_decided(it, document) for it in decisive if it.figure in MONEY]
    parts = [", ".join(("the cost is not known" if money is None else _money(money), *of_money)), _promise(document)]
    parts += [f"{_in_a_sentence(it, document)}{_decided(it, document)}" for it in decisive if it.figure not in MONEY]
    if document.held == "cannot be told" and not decisive:
        parts += document.notes[:1]
    return f"{TITLES[document.held].capitalize()}: {'; '.join(parts)}"


def _in_a_sentence(finding: LimitFinding, document: Comparison) -> str:
    """Return a figure and how it changed, or what it is: "throughput, measured, -33 %, "."""
    label = _label(finding.figure, document)
    name = label if label[:2].isupper() else f"{label[0].lower()}{label[1:]}"
    it = next((it for it in document.figures if it.name == finding.figure), None)
    if it is None or it.new is None:
        return f"{name}: "
    is_change = finding.limit in RELATIVE and it.outcome != "cannot be told"
    return f"{name} {_change(it, document.metric) if is_change else _format(it.name, document)(it.new.value)}, "


def _decided(finding: LimitFinding, document: Comparison) -> str:
    return f"{_bound(finding, document)} allowed" if finding.held == "broken" else finding.because


def _money(it: Figure) -> str:
    per = "/month" if it.name == "cost_usd_per_month" else ""
    if it.new is None:
        return "the cost is not known any more"
    now = f"{units.usd(it.new.value)}{per}"
    if it.old is None:
        return now
    if it.old.value == it.new.value:
        return f"{now} as before"
    inside = ", inside the intervals" if it.outcome == "same" else ""
    return f"{units.usd(it.old.value)} -> {now} ({_change(it, None)}{inside})"


def _promise(document: Comparison) -> str:
    name = PROMISES["meets_deadline" if document.of == "offline" else "meets_slo"]
    now = _kept(document.kept_new)
    if document.kept_old in (None, document.kept_new):
        return f"{name} {now}"
    return f"{name} {now}, before {_kept(document.kept_old)}"


def _kept(kept: Kept | None) -> str:
    return {"kept": "kept", "missed": "missed", "not shown": "not shown to be kept", None: ""}[kept]


# --- rows ----------------------------------------------------------------------------------------------------------------------


def _rows(document: Comparison) -> list[FigureRow]:
    rows = [
        FigureRow(
            label=_label(it.name, document),
            before=_cell(it.old, it.name, document),
            now=_cell(it.new, it.name, document),
            change=_changed(it, document),
            limit=_limits(it.name, document),
        )
        for it in document.figures
    ]
    name = "meets_deadline" if document.of == "offline" else "meets_slo"
    promise = FigureRow(
        label=PROMISES[name],
        before=_kept(document.kept_old),
        now=_kept(document.kept_new),
        change=document.kept_outcome or "",
        limit=_limits(name, document),
    )
    return [*rows[:1], promise, *rows[1:]]


def _cell(it: Estimate | None, name: str, document: Comparison) -> Part:
    # What is exact has no interval to be told.
    return figure(it, _format(name, document), ABSENT) if it is None or it.low < it.high else _format(name, document)(it.value)


def _label(name: str, document: Comparison) -> str:
    label = PROMISES.get(name) or LABELS[name][0]
    return f"{label} ({document.metric})" if name == "quality" and document.metric is not None else label


def _format(name: str, document: Comparison) -> Format:
    return level_format(document.metric or "") if name == "quality" else LABELS[name][1]


def _changed(it: Figure, document: Comparison) -> str:
    """Return how a figure changed, and whether that is worse: "+12 %, inside the intervals"."""
    if it.outcome is None or it.name == "valid_days":
        return ""
    if it.outcome == "cannot be told":
        return f"cannot be told: {it.because}"
    if it.outcome == "same":
        return "same" if it.change == 0 else f"{_change(it, document.metric)}, inside the intervals"
    return f"{_change(it, document.metric)}: {it.outcome}"


def _change(it: Figure, metric: str | None) -> str:
    if it.change is None:
        return "from nothing"
    if it.name == "quality":
        return _signed(it.change, loss_format(metric or ""))
    if it.name in MONEY and it.old is not None and it.new is not None:
        return f"{_signed(it.new.value - it.old.value, units.usd)}, {_signed(it.change, units.percent)}"
    return _signed(it.change, units.percent)


def _signed(value: float, format_: Callable[[float], str]) -> str:
    return f"{'+' if value > 0 else ''}{format_(value)}"


# --- limits --------------------------------------------------------------------------------------------------------------------


def _limits(name: str, document: Comparison) -> str:
    return "; ".join(_said(finding, document) for finding in document.limits if finding.figure == name)


def _said(finding: LimitFinding, document: Comparison) -> str:
    """Return a limit, whether it is kept, and why that cannot be told: "at most 5 % more (warning): broken"."""
    level = " (warning)" if finding.level == "warn" else ""
    why = f", {finding.because}" if finding.because else ""
    return f"{_bound(finding, document)}{level}: {finding.held}{why}"


def _bound(finding: LimitFinding, document: Comparison) -> str:
    if finding.allowed is None:
        return "has to be kept"
    if finding.limit == "max_drop":
        format_: Format = loss_format(document.metric or "")
    elif finding.limit in RELATIVE:
        format_ = units.percent
    else:
        format_ = _format(finding.figure, document)
    return BOUNDS[finding.limit].format(format_(finding.allowed))


def _case(document: Comparison, finding: LimitFinding) -> Case:
    """Return a limit as a test: a warning does not fail it, and what cannot be told is an error, or skipped where it is a warning."""
    name = f"{finding.figure}: {_bound(finding, document)}"
    row = next((it for it in document.figures if it.name == finding.figure), None)
    figures = _both(row, document) if row is not None else _promise(document)
    message = f"{figures}; {_said(finding, document)}"
    is_warning = finding.level == "warn"
    if finding.held == "kept":
        return Case(name=name, state="passed", message=message)
    if finding.held == "broken":
        return Case(name=name, state="passed" if is_warning else "failed", message=message)
    return Case(name=name, state="skipped" if is_warning else "error", message=message)


def _both(it: Figure, document: Comparison) -> str:
    """Return a figure before and now in one line."""
    now = as_text(_cell(it.new, it.name, document))
    return now if document.old is None else f"{as_text(_cell(it.old, it.name, document))} -> {now}"


# --- what is served ------------------------------------------------------------------------------------------------------------


def _configurations(document: Comparison) -> tuple[str, ...]:
    """Return what is served before and now, in one sentence, where that is another; of one file what it is about."""
    now = _configuration(document.new)
    if document.old is None:
        return () if now is None else (f"{document.new.answer}: {now}",)
    before = _configuration(document.old)
    if before == now:
        return ()
    return (f"served: {before or 'nothing that was predicted'} -> {now or 'nothing that was predicted'}",)


def _configuration(side: Side) -> str | None:
    if side.variant is None or side.replicas is None:
        return None
    return f"{units.counted(side.replicas, 'replica')} of {side.variant} on {side.hardware}"
