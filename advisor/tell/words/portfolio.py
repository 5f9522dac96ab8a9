"""The words of the plan of a portfolio."""

from advisor import units
from advisor.schema.portfolio import PortfolioPlan
from advisor.schema.record import Record
from advisor.tell.words.figures import Row, rows_of


class PortfolioWords(Record, frozen=True, kw_only=True):
    """What the plan of a portfolio says."""

    about: str
    headline: str
    box: tuple[Row, ...]
    saves: str
    proof: str
    pulled: str
    choices: tuple[str, ...]
    left_out: str | None
    written: str


def portfolio_words(plan: PortfolioPlan) -> PortfolioWords:
    """Return the sentences of the plan."""
    shares, spent = "", f"{units.usd(plan.spent_usd)} of {units.usd(plan.budget_usd)}"
    if plan.share_for_inference is not None and plan.share_for_training is not None:
        shares = f", {units.percent(plan.share_for_inference)} of it for serving and {units.percent(plan.share_for_training)} for training"
    better = f"a better plan could save {units.usd(plan.gap_usd)} at most"
    if plan.gap_usd == 0:
        better = "no better plan exists within the budget"
    left_out = f"{units.counted(len(plan.left_out), 'lever')} could not be judged" if plan.left_out else None
    changed = sum(bool(choice.levers) for choice in plan.choices)
    pulled = f"{changed} of {units.counted(len(plan.choices), 'workload')} should change"
    saves = f"It saves {units.usd(plan.saving_usd)} over the horizons, {units.usd(plan.net_usd)} more than it costs."
    proof = f"{units.counted(plan.considered, 'combination')} of levers; {better}."
    return PortfolioWords(
        about=f"Plan for the portfolio {plan.name}",
        headline=f"{plan.name}: spend {spent}{shares}",
        box=rows_of({"Decision": f"{pulled}, below.", "Money": f"Spend {spent}. {saves}", "How sure": proof}),
        saves=saves,
        proof=proof,
        pulled=pulled,
        choices=tuple(
            f"{choice.workload}: {', '.join(title.lower() for title in choice.levers) or 'change nothing'}. {choice.because}"
            for choice in plan.choices
        ),
        left_out=left_out,
        written=f"Written by serving-advisor {plan.advisor_version}.",
    )
