"""Rows of advice as a test wants them."""

from typing import Any

from msgspec.structs import replace

from advisor.schema.overview import AdviceRow, Failure
from advisor.schema.record import Estimate


def usd(value: float | None, spread: float = 0.1) -> Estimate | None:
    """Return a sum of money with its interval; None stays unknown."""
    if value is None:
        return None
    ends = sorted((value * (1 - spread), value * (1 + spread)))
    return Estimate(value=value, low=ends[0], high=ends[1], basis="simulated", source="a test")


def row(id_: str, advised: float | None, *, today: float | None = None, **changed: Any) -> AdviceRow:
    """Return a row that costs so much as advised and today, each a month; what it saves is the difference."""
    is_failed = changed.get("outcome") == "failed"
    made = AdviceRow(
        id=id_,
        outcome="change",
        usd_per_month=usd(advised),
        today_usd_per_month=usd(today),
        saving_usd_per_month=usd(None if today is None or advised is None else today - advised),
        model=None if is_failed else "model.onnx",
        workload=None if is_failed else f"service {id_}",
        variant=None if is_failed else "fp32",
        hardware=None if is_failed else "local",
        replicas=None if is_failed else 2,
        headline="" if is_failed else "Run it",
        created=None if is_failed else "2026-11-22T08:00:00+00:00",
        valid_until=None if is_failed else "2027-02-20",
        settled_by=(),
        failure=Failure(fault=f"{id_}.yaml: wrong", hint="mend it") if is_failed else None,
        profile_path="profile.json",
        workload_path=f"{id_}.yaml",
        profile_sha256=None if is_failed else "0" * 64,
        advice_path=None if is_failed else f"{id_}/advice.json",
        report_path=None,
    )
    return replace(made, **changed)
