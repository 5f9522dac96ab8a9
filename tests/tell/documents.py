"""One of each kind of document that can be printed."""

from msgspec.structs import replace

from advisor.decide.comparison.overview import Earlier, overview
from advisor.schema.advice import Candidate, Certificate, OfflineAdvice, OfflineChoice
from advisor.schema.lifetime import Assumption, Classification, LifetimeEnergy
from advisor.schema.overview import Overview
from advisor.schema.portfolio import Choice, PortfolioPlan
from advisor.schema.record import SCHEMA_VERSION, Exclusion, Record
from advisor.schema.workload import HardwareChoice, OfflineWorkload, Volume
from tests.overviews import row
from tests.tell import generation_examples, language_examples
from tests.tell.advice_examples import BUILDERS, about, candidate, change, firm_verdict, keep, outlook

CREATED = "2026-11-22T07:43:23Z"


def job() -> OfflineAdvice:
    """A batch job that is done in time, in two ways."""
    base = change()

    def way(candidate: Candidate, usd: float, duration_s: float) -> OfflineChoice:
        return OfflineChoice(
            candidate=candidate,
            duration_s=about(duration_s, "projected", "items over the rate of the slower end"),
            throughput_items_per_s=about(100_000 / duration_s, "interpolated", "measured calls"),
            cost_usd=about(usd, "list-price", "price in the workload file"),
            meets_deadline=duration_s < 600,
        )

    return OfflineAdvice(
        schema_version=SCHEMA_VERSION,
        created=CREATED,
        advisor_version="0.1.0",
        profile_sha256="9b0c4d51" * 8,
        workload=OfflineWorkload(
            name="nightly <embedding>",
            offline=Volume(items=100_000, deadline_s=600.0),
            hardware=HardwareChoice(price_usd_per_hour={"local": 0.34}),
        ),
        model=base.model,
        sites=base.sites,
        headline="Run int8-dynamic on 2 replicas: $0.09 for all",
        recommended=way(candidate("int8-dynamic", replicas=2), 0.09, 480.0),
        nearest_miss=None,
        binding_constraint=None,
        others=(way(candidate("fp32", replicas=4), 0.2, 510.0),),
        certificate=Certificate(
            candidates=96, cut_by_bound=60, cut_by_quality=0, cut_by_tie=0, cut_by_cost=30, simulated=6, regret_usd_per_hour=0.0
        ),
        exclusions=(Exclusion(what="fp16", reason="this processor has no arithmetic in fp16"),),
        notes=("assumed: batches are always full",),
    )


def missed_job() -> OfflineAdvice:
    """A batch job that no way finishes in time."""
    made = job()
    assert made.recommended is not None
    miss = replace(made.recommended, meets_deadline=False)
    return replace(
        made, headline="Nothing is done in time", recommended=None, nearest_miss=miss, binding_constraint="the deadline"
    )


def classification() -> Classification:
    """A verdict that is not robust, with inputs that were given and others that were assumed."""
    made = outlook()
    return Classification(
        schema_version=SCHEMA_VERSION,
        created=CREATED,
        advisor_version="0.1.0",
        workload="support | search",
        requests_per_s=60.0,
        horizon_months=12.0,
        headline="reserve the always-on devices for a year (saves about $890 a year, $600 to $1,200, for about $450 once)",
        verdict=firm_verdict(),
        outlook=made,
        energy=LifetimeEnergy(
            kwh=about(15_000.0, "assumed", "device hours x watts"), carbon_kg=about(5_500.0, "assumed", "the grid"), because=""
        ),
        assumed=tuple(
            Assumption(
                input=f"lifecycle.input_{number}",
                unit="usd",
                is_given=number > 1,
                estimate=about(100.0, "assumed", "advisor's own estimate"),
            )
            for number in range(10)
        ),
    )


def undecided() -> Classification:
    """A verdict that is not known."""
    return replace(
        classification(),
        headline="not known whether serving or training dominates",
        verdict=keep().verdict,
        energy=LifetimeEnergy(kwh=None, carbon_kg=None, because="give lifecycle.model and lifecycle.request"),
    )


def portfolio() -> PortfolioPlan:
    """Two workloads, one of which should change."""
    return PortfolioPlan(
        schema_version=SCHEMA_VERSION,
        created=CREATED,
        advisor_version="0.1.0",
        name="platform team",
        budget_usd=20_000.0,
        spent_usd=4_500.0,
        saving_usd=12_000.0,
        net_usd=7_500.0,
        share_for_inference=0.9,
        share_for_training=0.1,
        choices=(
            Choice(
                workload="search",
                levers=("Let the fleet follow the traffic",),
                once_usd=4_500.0,
                engineer_days=5.0,
                saving_usd=12_000.0,
                because="Saves $12,000 in 2 years for $4,500 once.",
            ),
            Choice(workload="chat", levers=(), once_usd=0.0, engineer_days=0.0, saving_usd=0.0, because="Nothing pays."),
        ),
        considered=1_300,
        gap_usd=0.0,
        left_out=(Exclusion(what="chat: Distil into a smaller model", reason="give lifecycle.options.student_parameters"),),
    )


def many() -> Overview:
    """Many rows, one of them inconclusive and one failed, since an earlier run."""
    before = [row("search", 200.0, today=300.0)]
    rows = [
        row("search", 100.0, today=300.0, report_path="search/report.html"),
        row("chat", None, today=50.0, outcome="inconclusive", headline="Not known <yet>", settled_by=("measure for 5 min",)),
        row("broken", None, outcome="failed"),
    ]
    return overview(rows, name="all", created=CREATED, rows_path="rows.jsonl", earlier=Earlier(before))


DOCUMENTS: dict[str, Record] = {
    **{builder.__name__: builder() for builder in BUILDERS},
    **{builder.__name__: builder() for builder in (job, missed_job, classification, undecided, portfolio, many)},
    **{builder.__name__: builder() for builder in generation_examples.BUILDERS},
    **{builder.__name__: builder() for builder in language_examples.BUILDERS},
}
