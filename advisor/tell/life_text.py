"""The lifetime cost, the verdict and what to do about it as text for a terminal; and a rule as prose."""

import textwrap
from collections.abc import Callable

from advisor import units
from advisor.schema.catalog import RuleExplanation
from advisor.schema.lifetime import Classification, CostLine, Opportunity
from advisor.schema.portfolio import PortfolioPlan
from advisor.schema.record import Estimate

WIDTH = 110


def classification_text(told: Classification) -> str:
    """Return the classification as paragraphs and aligned lines, ending in a newline."""
    verdict = told.verdict
    parts = [
        f"{told.workload}: {answer(told)}",
        _filled(verdict.because),
        _firmness(told),
        _costs(told),
        _filled(told.outlook.answer),
        _opportunities(told.outlook.opportunities),
        "Until when: "
        + "; ".join(f"{entry.what}{f' ({entry.on})' if entry.on else ''}" for entry in told.outlook.expires_when)
        + ".",
        _findings(told),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def answer(told: Classification) -> str:
    """Return the verdict in a sentence."""
    dominated_by = told.verdict.dominated_by
    if dominated_by is None:
        return "not known whether serving or training dominates"
    if dominated_by == "mixed":
        return "mixed, neither serving nor training dominates"
    return "dominated by fine-tuning and its data" if dominated_by == "fine-tuning" else f"dominated by {dominated_by}"


def told_estimate(estimate: Estimate, format_: Callable[[float], str]) -> str:
    """Return a figure with its interval and basis."""
    return f"{format_(estimate.value)} ({units.interval(estimate.value, estimate.low, estimate.high, format_)}, {estimate.basis})"


def _firmness(told: Classification) -> str:
    verdict = told.verdict
    if verdict.robust is None:
        return ""
    said = (
        "Robust: the same at both ends of every interval."
        if verdict.robust
        else "Not robust: another class at "
        + "; at ".join(verdict.turned_by[:4])
        + ("; and more." if len(verdict.turned_by) > 4 else ".")
    )
    turns = "; ".join(f"{flip.told} ({flip.becomes})" for flip in verdict.flips_when[:4])
    return _filled(said) + "\n" + _filled(f"It turns {turns}." if turns else "No change of one input within reason turns it.")


def _costs(told: Classification) -> str:
    verdict = told.verdict
    lines = [f"cost over {units.months(told.horizon_months)}"]
    lines += [f"  {entry.what:<32}{_line(entry)}" for entry in verdict.lines]
    if verdict.total_usd is not None:
        lines.append(f"  {'all of it':<32}{told_estimate(verdict.total_usd, units.usd)}")
    lines += [f"  {f'share of {kind}':<32}{told_estimate(share, units.percent)}" for kind, share in verdict.shares.items()]
    return "\n".join(lines)


def _line(entry: CostLine) -> str:
    return entry.because if entry.usd is None else told_estimate(entry.usd, units.usd)


def _opportunities(found: tuple[Opportunity, ...]) -> str:
    if not found:
        return ""
    head = f"{'change':<50}{'saves a year':>26}{'once':>10}  paid back"
    rows = [
        f"{entry.title[:48]:<50}"
        f"{units.ends(entry.saving_usd_per_year.low, entry.saving_usd_per_year.high, units.usd):>26}"
        f"{units.usd(entry.once_usd.value):>10}  {_paid_back(entry)}"
        for entry in found
    ]
    return "\n".join((head, *rows))


def _paid_back(entry: Opportunity) -> str:
    if entry.payback_on is None or not entry.pays:
        return "not within the horizon"
    return entry.payback_on + ("" if entry.surely else ", not surely")


def _findings(told: Classification) -> str:
    firing = [entry for entry in told.verdict.findings if entry.outcome == "fires"]
    silent, unknown = (sum(entry.outcome == outcome for entry in told.verdict.findings) for outcome in ("silent", "unknown"))
    lines = [_filled(f"- {entry.title} ({entry.favours}, {entry.rule}). {entry.why}", "  ") for entry in firing]
    return "\n".join((*lines, f"{silent} rules are silent, {unknown} ask for what is not known (--format md tells all)."))


def explanation_text(told: RuleExplanation) -> str:
    """Return a rule as prose, ending in a newline."""
    rule = told.rule
    facts = "; ".join(f"{name}, {meaning}" for name, meaning in told.facts.items())
    return "\n".join(
        (
            f"{rule.title} ({rule.id})",
            "",
            _filled(
                f"This rule speaks for {rule.favours} with a weight of {units.number(rule.weight)}. It fires when {rule.when}. It asks for "
                f"{facts}. Where one that is not known could turn it, the rule is unknown, which is neither a yes nor a no."
            ),
            "",
            _filled(f"It fires, for example, where {told.example}, and then says: {told.says}"),
            _filled(f"It is silent where {told.counterexample}."),
            "",
            _filled(f"Source: {rule.source.what} ({rule.source.date})."),
            "",
        )
    )


def portfolio_text(plan: PortfolioPlan) -> str:
    """Return the plan as aligned lines, ending in a newline."""
    shares = ""
    if plan.share_for_inference is not None and plan.share_for_training is not None:
        shares = f", {units.percent(plan.share_for_inference)} of it for serving and {units.percent(plan.share_for_training)} for training"
    lines = [
        f"{plan.name}: spend {units.usd(plan.spent_usd)} of {units.usd(plan.budget_usd)}{shares}",
        f"It saves {units.usd(plan.saving_usd)} over the horizons, {units.usd(plan.net_usd)} more than it costs.",
        f"{plan.considered} combinations of levers; "
        + (
            "no better plan exists within the budget."
            if plan.gap_usd == 0
            else f"a better plan could save {units.usd(plan.gap_usd)} at most."
        ),
        "",
    ]
    for choice in plan.choices:
        what = ", ".join(title.lower() for title in choice.levers) or "change nothing"
        lines.append(_filled(f"{choice.workload}: {what}. {choice.because}", "  "))
    if plan.left_out:
        lines += ["", f"{len(plan.left_out)} levers could not be judged (--format json says why)."]
    return "\n".join(lines) + "\n"


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, subsequent_indent=indent)
