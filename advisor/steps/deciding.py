"""The decision in the middle of measuring: it is asked what the measurements leave open, and what a server adds is tried beside them."""

from pathlib import Path

import msgspec

from advisor.decide.advice.sites import Request, under_load
from advisor.decide.load_test.comparison import taught
from advisor.decide.queue.openness import openness
from advisor.decide.queue.prediction import predict
from advisor.decide.queue.site import SiteUnderLoad
from advisor.decide.service.measured import setting_of
from advisor.errors import AdvisorError
from advisor.files.workload import examples_sha256, fitting, lengths_are_recorded, read_workload
from advisor.measure.timing.ledger import Ledger
from advisor.measure.timing.opinion import Opinion, Wanted
from advisor.measure.variants.making import Report
from advisor.schema.advice import LoadTest
from advisor.schema.arrays.trace import Trace
from advisor.schema.model import ModelFacts
from advisor.schema.profile import Profile, Site
from advisor.schema.workload import OfflineWorkload, OnlineWorkload
from advisor.steps.advise import recorded, request_of, with_quality_on
from advisor.steps.serve import TRIAL_PART, Trial, inputs_of, lesson_of, serve_for_real, trial
from advisor.units import parse_moment

MOST_SERVED = 2  # what a server teaches of the answer may make another configuration the answer
LEAST_SERVED_S = 1.0
LONGEST_SERVED_S = 20.0


class Decider:
    """Answers a profile in the making for one workload.

    What a server adds is tried before the first answer: it moves every answer, and timing calls does not show it. At the end the answer
    itself is served for a moment, which narrows its interval more than further calls would.
    """

    def __init__(
        self, workload: OnlineWorkload, path: Path, model: ModelFacts, folder: Path, ledger: Ledger, *, now: str
    ) -> None:
        """`path` is that of the workload file, `folder` that of the profile."""
        self.workload, self.path, self.folder, self.ledger, self.now = workload, path, folder, ledger, now
        self.trace: Trace | None = recorded(workload, path, model)
        data = workload.quality.data if workload.quality is not None else None
        self._data_sha256 = None if data is None else examples_sha256(path.parent, data)
        self._trial: Trial | None = None
        self._note: tuple[str, ...] = ()
        self._is_tried = ledger.trial_s <= 0
        self._request: Request | None = None

    def __call__(self, measured: Profile) -> Opinion | None:
        """Return what the measurements leave open; None where they do not suffice to decide anything."""
        try:
            site = self._site(self.tried(measured))
            found = openness(site) if site is not None else None
        except AdvisorError:
            return None
        if found is None:
            return None
        wanted = tuple(Wanted(*entry.setting, entry.batch_sizes) for entry in found.settings)
        return Opinion(wanted, found.stands, found.answer)

    def tried(self, measured: Profile) -> Profile:
        """Return the profile with the trial in a server, which is made where it has not been."""
        if not self._is_tried:
            self._is_tried = True
            self._trial, self._note = _trial(measured, self.folder, self.ledger)
        return _with_lessons(measured, self._trial, self._note)

    def served(self, measured: Profile, report: Report) -> Profile:
        """Return the profile with what a short load test of the answer teaches of service inside a server, and of what it leads to."""
        if self.ledger.trial_s <= 0:  # the budget is too short for it, or calls so long that nothing would show
            return measured
        for _ in range(MOST_SERVED):
            wanted_s = min(TRIAL_PART * self.ledger.serving_left_s, LONGEST_SERVED_S)
            if wanted_s < LEAST_SERVED_S:
                break
            report(self.ledger.spent_s, self.ledger.expected_s, "serving the answer")
            test = self._serve_answer(measured, wanted_s)
            if test is None:
                break
            measured = _with_site(measured, taught(measured.sites[0], (test,)))
        return measured

    def _serve_answer(self, measured: Profile, wanted_s: float) -> LoadTest | None:
        """Return a load test of the answer; None where there is none, where its setting was served before, or where it was not valid."""
        try:
            site = self._site(measured)
            found = site.search(site.space(site.admitted())) if site is not None else None
            if site is None or found is None or not found.cheapest:
                return None
            configuration, replicas = found.cheapest[0]
            if setting_of(configuration) in map(setting_of, site.service.calibrations):
                return None
            prediction = predict(site, configuration, replicas, today_replicas=replicas)
            with self.ledger.loading():  # most of it starts the server; the requests are counted
                rows = inputs_of(measured, site.hardware, self.folder)
                test = serve_for_real(site, prediction, self.folder, wanted_s=wanted_s, rows=rows)
        except AdvisorError:
            return None
        self.ledger.tried(test.duration_s)
        return test if test.generator_kept_up else None

    def _site(self, measured: Profile) -> SiteUnderLoad | None:
        """Return the measured machine under the workload; None where today's configuration runs elsewhere."""
        if self._data_sha256 is not None:
            measured = with_quality_on(measured, {self._data_sha256})
        if self._request is None:
            name = self.folder / "profile.json"
            self._request = request_of(self.workload, measured, name, workload_path=self.path, profile_sha256="", now=self.now)
        home = under_load(measured, self._request, self.trace).home
        return home if home.hardware == measured.sites[0].hardware.id else None


def decider(
    workload: OnlineWorkload | OfflineWorkload | None,
    path: Path | None,
    model: ModelFacts,
    folder: Path,
    ledger: Ledger,
    *,
    now: str,
) -> Decider | None:
    """Return the decision for the workload of the file; None without one, and for a batch job, which has no queue to decide on."""
    now = parse_moment(now)
    if path is None or not isinstance(workload, OnlineWorkload):
        return None
    if lengths_are_recorded(workload, read_workload(path)):
        workload = fitting(workload, model)
    return Decider(workload, path, model, folder, ledger, now=now)


def served(measured: Profile, folder: Path, decide: Decider | None, ledger: Ledger, report: Report) -> Profile:
    """Return the profile with what servers teach: of the model as given, and of the answer where there is a decision."""
    if decide is not None:
        return decide.served(decide.tried(measured), report)
    if ledger.trial_s <= 0:
        return measured
    report(ledger.spent_s, ledger.expected_s, "trying the model inside a server")
    return _with_lessons(measured, *_trial(measured, folder, ledger))


def _trial(measured: Profile, folder: Path, ledger: Ledger) -> tuple[Trial | None, tuple[str, ...]]:
    try:
        return trial(measured, measured.sites[0], folder, ledger), ()
    except AdvisorError as error:
        # The note reports what is missing; the profile holds without it.
        return None, (f"no trial inside a server: {error.fault}",)


def _with_lessons(measured: Profile, tried: Trial | None, notes: tuple[str, ...]) -> Profile:
    here = measured.sites[0]
    stalls, calibration = ((), here.trial) if tried is None else (tried.test.stalls, lesson_of(tried, measured))
    here = msgspec.structs.replace(here, trial=calibration, notes=(*here.notes, *notes), stalls=(*here.stalls, *stalls))
    return _with_site(measured, here)


def _with_site(measured: Profile, here: Site) -> Profile:
    return msgspec.structs.replace(measured, sites=(here, *measured.sites[1:]))
