"""What production says beside the advice: two lines, or JSON."""

from advisor.inert.record import as_json, inert_parts
from advisor.schema.gate.production import Outcome, ProductionCheck, ProductionFinding

HEADLINES: dict[Outcome, str] = {
    "valid": "still valid",
    "cannot be told": "cannot be told",
    "expired": "expired",
    "re-advise": "advise again",
    "re-measure": "measure again",
}
AS_PROMISED = "production is as promised; "  # said where a figure of production was held against the advice
AGAIN: dict[Outcome, str] = {
    "valid": "nothing to do",
    "cannot be told": "give two scrapes with requests in between, with a histogram whose buckets reach beyond the target",
    "expired": f"{AS_PROMISED}by the prices of today: advisor advise profile.json -w workload.yaml",
    "re-advise": "what was measured still holds: advisor advise profile.json -w workload.yaml",
    "re-measure": "what was measured no longer holds: advisor recommend MODEL -w workload.yaml --fresh",
}


def render_check(document: ProductionCheck, format_: str) -> str:
    """Return the verdict with its reasons, and what to do about it; a newline at the end."""
    if format_ == "json":
        return as_json(document, indent=1).decode()
    document = inert_parts(document)
    return f"{HEADLINES[document.standing]}: {_reasons(document)}\n{_next(document)}\n"


def _reasons(document: ProductionCheck) -> str:
    """Return what decides: of what still holds, all that was held against it."""
    if document.standing == "cannot be told":
        return (
            "; ".join(_reason(it) for it in document.findings if it.seen is not None)
            or "no figure that was promised is in the metrics"
        )
    deciding = [it for it in document.findings if it.standing == document.standing]
    return "; ".join(map(_reason, deciding)) or "nothing in the metrics says otherwise"


def _reason(finding: ProductionFinding) -> str:
    named = {
        "rate": "",
        "prices": "",
        "model": "model ",
        "runtime": "",
        "utilization": "",
        "latency": "latency ",
        "ttft": "TTFT ",
    }
    return f"{named.get(finding.what, f'{finding.what} ')}{finding.because}"


def _next(document: ProductionCheck) -> str:
    rate = next((it for it in document.findings if it.what == "rate"), None)
    if document.standing == "re-advise" and rate is not None and rate.standing == "re-advise" and rate.seen is not None:
        return f"{AGAIN['re-advise']}, with the rate of today as traffic.requests_per_s"
    if document.standing == "expired" and not any(it.seen is not None and it.standing is not None for it in document.findings):
        return AGAIN["expired"].removeprefix(AS_PROMISED)
    until = f", until {document.valid_until}" if document.standing == "valid" and document.valid_until else ""
    return AGAIN[document.standing] + until
