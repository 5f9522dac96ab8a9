"""What is asked about a language model on hardware that is not here, beside its configuration."""

from advisor.decide.generation.traffic import Effort
from advisor.decide.queue.simulator import USUAL_CONFIDENCE
from advisor.schema.advice import Place
from advisor.schema.catalog import AcceptanceLength, TokenPrice
from advisor.schema.options import USUAL_MAX_UNCERTAINTY
from advisor.schema.record import Exclusion, Record
from advisor.schema.trace import Requests
from advisor.schema.workload import GenerationWorkload, LowerPrecision

# Of one simulated run: there are thousands of ways to serve, and step times are known less well than measured ones.
EFFORT = Effort(beyond_quantile=30, needed_beyond=10, least_requests=1_000, most_requests=10_000, most_tokens=300_000)


class ElsewhereRequest(Record, frozen=True, kw_only=True):
    """The workload, where the model may run at what price, and what is known beside; dates are shown in the report."""

    workload: GenerationWorkload
    recorded: Requests | None  # those of the workload's trace
    places: tuple[Place, ...]  # machines with devices of the catalog; of one device there may be several
    created: str
    accepted: tuple[LowerPrecision, ...] = ()  # below the checkpoint's own, whose quality the user answers for
    apis: tuple[TokenPrice, ...] = ()  # to compare with
    acceptance: tuple[AcceptanceLength, ...] = ()  # of drafts, as measured of other models
    exclusions: tuple[Exclusion, ...] = ()  # hardware that was asked for, but cannot be evaluated
    max_uncertainty: float = USUAL_MAX_UNCERTAINTY  # factor by which the cost may be uncertain for the answer to count as known
    notes: tuple[str, ...] = ()  # on how the workload was read
    confidence: float = USUAL_CONFIDENCE  # with which the recommendation has to keep the targets
    effort: Effort = EFFORT
