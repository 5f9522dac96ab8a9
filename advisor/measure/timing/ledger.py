"""The ledger of a profile: every stage asks it for seconds, so that all of them together keep the user's budget."""

import contextlib
import time
from collections.abc import Callable, Iterator

from advisor.units import seconds

# Timing has at least this part of the wall time; making, comparing and the trial share the rest.
TIMING_SHARE = 0.5
# Nothing is begun that would end beyond so many budgets; what is promised leaves room for the step that ends late.
LAST_START, PROMISED = 1.3, 1.5
# Looking at a model takes about so many calls of it: what it accepts, whether items can share a call, what its nodes do. The rest of
# looking is reading and opening the file.
CALLS_TO_LOOK = 7.0
# Trials inside a server take this part, if the budget is long enough for one and calls are so short that it would show anything.
TRIAL_SHARE = 0.2
LEAST_BUDGET_FOR_TRIAL_S = 10.0
LONGEST_TRIED_CALL_S = 0.1  # what a server adds is lost in the spread of longer calls

Clock = Callable[[], float]


class Ledger:
    """Seconds spent and left. Starting a process and loading a model into it is not counted: no budget makes it shorter."""

    def __init__(self, budget_s: float, *, clock: Clock = time.perf_counter) -> None:
        self.budget_s = budget_s
        self.planned_s = budget_s  # more where the user named what does not fit
        self.trial_s = TRIAL_SHARE * budget_s if budget_s >= LEAST_BUDGET_FOR_TRIAL_S else 0.0
        self._clock = clock
        self._started_s = clock()
        self._loading_s = 0.0
        self._depth = 0
        self._before_s = 0.0
        self._looking_s = 0.0
        self._timing_ends_s: float | None = None  # in seconds spent

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Leave out of the account what happens inside."""
        started = self._clock()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._loading_s += self._clock() - started

    def count(self, more_s: float) -> None:
        """Count seconds that this ledger did not see: those of a run that this one goes on from, or of a part of what was loading."""
        self._before_s += more_s

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Count what happens inside as looking at the model: calls of it, and loading."""
        started_s = self.spent_s
        yield
        self._looking_s += self.spent_s - started_s

    def know_call(self, call_s: float) -> None:
        """Take in what a call of the baseline takes: how much of looking at it was loading, and that no trial is made of long ones."""
        self._loading_s += max(0.0, self._looking_s - CALLS_TO_LOOK * call_s)
        self._looking_s = 0.0
        if call_s > LONGEST_TRIED_CALL_S:
            self.trial_s = 0.0

    def tried(self, served_s: float) -> None:
        """Count seconds of requests to a server: of those set aside for that, and beyond them of what timing has left."""
        self.count(served_s)
        set_aside_s = min(served_s, self.trial_s)
        self.trial_s -= set_aside_s
        if self._timing_ends_s is not None:
            self._timing_ends_s += set_aside_s

    def require(self, preparing_s: float) -> None:
        """Plan for so many more seconds of making and comparing, whatever the budget says: the user named what takes them."""
        if preparing_s > self.preparing_left_s:
            self.planned_s = (self.spent_s + preparing_s + self.trial_s) / (1 - TIMING_SHARE)

    def sufficient_s(self, preparing_s: float) -> float:
        """Return the budget under which so many more seconds of making and comparing would have fitted in."""
        share = 1 - TIMING_SHARE - (TRIAL_SHARE if self.trial_s else 0.0)
        return (self.spent_s + preparing_s) / share

    @property
    def spent_s(self) -> float:
        """Seconds spent so far, by the runs before too."""
        return self._before_s + self._clock() - self._started_s - self._loading_s

    @property
    def preparing_left_s(self) -> float:
        """Seconds that making and comparing variants may still take."""
        return (1 - TIMING_SHARE) * self.planned_s - self.trial_s - self.spent_s

    @property
    def stretched_left_s(self) -> float:
        """Seconds that making and comparing may still take where it is worth a longer run, of which timing has its half all the same."""
        return (1 - TIMING_SHARE) * LAST_START * self.planned_s - self.trial_s - self.spent_s

    def begin_timing(self, measured_s: float) -> None:
        """Give timing what is left, and at least as long as all else takes; `measured_s` of it is spent already."""
        prepared_s = self.spent_s - measured_s
        others_s = prepared_s + self.trial_s
        wanted_s = max(self.planned_s - others_s, others_s * TIMING_SHARE / (1 - TIMING_SHARE))
        self._timing_ends_s = min(prepared_s + wanted_s, LAST_START * self.planned_s - self.trial_s)

    @property
    def timing_left_s(self) -> float:
        """Seconds that timing may still take, negative once they are over."""
        ends_s = self.planned_s - self.trial_s if self._timing_ends_s is None else self._timing_ends_s
        return ends_s - self.spent_s

    @property
    def serving_left_s(self) -> float:
        """Seconds that the answer may be served: what is set aside for that, and what timing has left once nothing is open."""
        return self.trial_s + max(self.timing_left_s, 0.0)

    @property
    def expected_s(self) -> float:
        """Seconds that all stages together are expected to take."""
        ends_s = self.planned_s - self.trial_s if self._timing_ends_s is None else self._timing_ends_s
        return max(ends_s + self.trial_s, self.spent_s)

    @property
    def promised_s(self) -> float:
        """Seconds that all stages together take at most, loading left out."""
        return PROMISED * self.planned_s

    @property
    def promise(self) -> str:
        """What all stages together are expected to take and take at most, in words."""
        why = "" if self.planned_s == self.budget_s else f", more than {seconds(self.budget_s)} for what was named takes longer"
        return f"about {seconds(self.planned_s)} in all{why}, at most {seconds(self.promised_s)}, besides loading"

    def has_time_for(self, more_s: float) -> bool:
        """Return whether so many more seconds would end before nothing more is begun."""
        return self.spent_s + more_s <= LAST_START * self.planned_s
