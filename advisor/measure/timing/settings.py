"""How long is timed, and how often: what a test or a benchmark asks for otherwise, it hands over in the plan."""

import msgspec


class TimingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The pace of the visits, and what makes a further point worth one."""

    visit_s: float = 0.05
    tree_visit_s: float = 0.01  # at more batch sizes; hundreds of calls all the same
    max_rounds: int = 12
    # Where ways to interpolate agree this well, a measurement in between would add little beyond its own noise.
    unsure_fraction: float = 0.03
    errors_to_exceed: float = 2.0  # standard errors of the neighbors
    # Between the rounds, a core at a time, while nothing else runs: what the host does to the machine. In all a tenth of the budget.
    watches: int = 4
    watch_fraction: float = 0.025  # of the budget, each
    longest_watch_s: float = 2.0
