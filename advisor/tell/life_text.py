"""The lifetime cost, the verdict and what to do about it as text for a terminal; and a rule as prose."""

import textwrap

from advisor import units
from advisor.inert.record import inert_parts
from advisor.schema.catalog import RuleExplanation
from advisor.schema.lifetime import Classification, CostLine, Opportunity
from advisor.schema.portfolio import PortfolioPlan
from advisor.tell.words.figures import Figure, Sentence, as_text, figure
from advisor.tell.words.life import NOT_PAID_BACK, answer, energy, firmness, flips, spoken_for
from advisor.tell.words.portfolio import portfolio_words

WIDTH = 110
MOST_TURNS = 4
NOTE = " " * 4


def classification_text(classification: Classification) -> str:
    """Return the classification as paragraphs and aligned lines, ending in a newline."""
    verdict = classification.verdict
    parts = [
        _filled(f"{classification.workload}: {classification.headline}."),
        _filled(f"{answer(classification)[0].upper()}{answer(classification)[1:]}. {verdict.because}"),
        _firmness(classification),
        _costs(classification),
        *(_filled(f"Note: {note}.") for note in classification.notes),
        _filled(_plain(energy(classification))),
        _filled(classification.outlook.answer),
        _opportunities(classification.outlook.opportunities, units.months(classification.horizon_months)),
        _filled(
            "Until when: "
            + "; ".join(f"{entry.what}{f' ({entry.on})' if entry.on else ''}" for entry in classification.outlook.expires_when)
            + "."
        ),
        _findings(classification),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _firmness(classification: Classification) -> str:
    verdict = classification.verdict
    if verdict.robust is None:
        return ""
    ends = f" At {'; at '.join(verdict.turned_by[:MOST_TURNS])}{'; and more' if len(verdict.turned_by) > MOST_TURNS else ''}."
    return "\n".join(
        _filled(line) for line in (firmness(verdict) + (ends if verdict.turned_by else ""), *flips(verdict, MOST_TURNS))
    )


def _plain(sentence: Sentence) -> str:
    return "".join(as_text(part) if isinstance(part, Figure) else str(part) for part in sentence)


def _costs(classification: Classification) -> str:
    verdict = classification.verdict
    lines = [f"cost over {units.months(classification.horizon_months)}"]
    lines += [line for entry in verdict.lines for line in _line(entry)]
    if verdict.total_usd is not None:
        lines.append(f"  {'all of it':<32}{as_text(figure(verdict.total_usd, units.usd))}")
    lines += [f"  {f'share of {kind}':<32}{as_text(figure(share, units.percent))}" for kind, share in verdict.shares.items()]
    return "\n".join(lines)


def _line(entry: CostLine) -> list[str]:
    """Return a line of the cost, and below it what of it was measured."""
    cost = entry.because if entry.usd is None else as_text(figure(entry.usd, units.usd))
    below = _filled(f"    {entry.measured}", "    ") if entry.measured else None
    return [f"  {entry.what:<32}{cost}", *([f"    {below}"] if below else [])]


def _opportunities(found: tuple[Opportunity, ...], horizon: str) -> str:
    if not found:
        return ""
    head = f"{'change':<50}{'saves a year':>26}{'once':>10}  paid back"
    rows = [line for entry in found for line in _opportunity(entry)]
    return "\n".join((head, f"{'':<50}{f'mean of {horizon}':>26}", *rows))


def _opportunity(entry: Opportunity) -> list[str]:
    """Return a row of the table, and below it what is to be known of it."""
    row = (
        f"{entry.title[:48]:<50}"
        f"{units.ends(entry.saving_usd_per_year.low, entry.saving_usd_per_year.high, units.usd):>26}"
        f"{units.usd(entry.once_usd.value):>10}  {_paid_back(entry)}"
    )
    return [row, *([textwrap.fill(entry.because, WIDTH, initial_indent=NOTE, subsequent_indent=NOTE)] if entry.because else [])]


def _paid_back(entry: Opportunity) -> str:
    if entry.payback_on is None or not entry.pays:
        return NOT_PAID_BACK
    return entry.payback_on + ("" if entry.surely else ", not surely")


def _findings(classification: Classification) -> str:
    firing = [entry for entry in classification.verdict.findings if entry.outcome == "fires"]
    silent, unknown = (
        sum(entry.outcome == outcome for entry in classification.verdict.findings) for outcome in ("silent", "unknown")
    )
    lines = [_filled(f"- {entry.title} ({spoken_for(entry)}, {entry.rule}). {entry.why}", "  ") for entry in firing]
    return "\n".join((*lines, f"{silent} rules are silent, {unknown} ask for what is not known (--format md lists them)."))


def explanation_text(explained: RuleExplanation) -> str:
    """Return a rule as prose, ending in a newline."""
    explained = inert_parts(explained)
    rule = explained.rule
    weighs = (
        "as context, which the verdict does not weigh" if rule.weight is None else f"with a weight of {units.number(rule.weight)}"
    )
    facts = "; ".join(f"{name}, {meaning}" for name, meaning in explained.facts.items())
    return "\n".join(
        (
            f"{rule.title} ({rule.id})",
            "",
            _filled(
                f"This rule speaks for {rule.favours} {weighs}. It fires when {rule.when}. It asks for "
                f"{facts}. Where one that is not known could turn it, the rule is unknown, which is neither a yes nor a no."
            ),
            "",
            _filled(f"It fires, for example, where {explained.example}, and then says: {explained.says}"),
            _filled(f"It is silent where {explained.counterexample}."),
            "",
            _filled(f"Source: {rule.source.what} ({rule.source.date})."),
            "",
        )
    )


def portfolio_text(plan: PortfolioPlan) -> str:
    """Return the plan as aligned lines, ending in a newline."""
    words = portfolio_words(plan)
    lines = [words.headline, words.saves, words.proof, "", *(_filled(choice, "  ") for choice in words.choices)]
    if words.left_out is not None:
        lines += ["", f"{words.left_out} (--format json says why)."]
    return "\n".join(lines) + "\n"


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, subsequent_indent=indent)
