"""The decision in the middle of measuring: what has been measured so far is asked what it leaves open, and a server is tried early."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from advisor.decide.advice.sites import Request, under_load
from advisor.decide.load_test.comparison import learned
from advisor.decide.queue.openness import openness
from advisor.decide.queue.prediction import predict
from advisor.decide.queue.site import SiteUnderLoad
from advisor.errors import AdvisorError
from advisor.files.workload import examples_sha256, read_question
from advisor.measure.timing.opinion import Opinion, Wanted
from advisor.schema.profile import Calibration, Profile, Site
from advisor.schema.workload import OnlineWorkload, Trace
from advisor.steps.advise import recorded, request_of, with_quality_on
from advisor.steps.serve import serve_for_real, trial
from advisor.units import parse_moment

# A few seconds in a server narrow what a server adds more than further calls would; more are for `advisor verify`.
SERVED_S = 5.0
MOST_SERVED = 2  # the answer that they lead to may be another configuration's


class Decider:
    """Answers a profile in the making for one workload; what a server adds is tried before the first answer, and once."""

    def __init__(self, workload: OnlineWorkload, path: Path, folder: Path, *, now: str, with_trial: bool) -> None:
        """`path` is that of the workload file, `folder` that of the profile."""
        self.workload, self.path, self.folder, self.now = workload, path, folder, now
        self.trace: Trace | None = recorded(workload, path)
        self.trial: Calibration | None = None
        self.notes: tuple[str, ...] = ()
        self._is_tried = not with_trial
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
            try:
                self.trial = trial(measured, measured.sites[0], self.folder)
            except AdvisorError as error:
                # The note reports what is missing; the profile holds without it.
                self.notes = (f"no trial inside a server: {error.fault}",)
        site = measured.sites[0]
        return _with(measured, msgspec.structs.replace(site, trial=self.trial, notes=(*site.notes, *self.notes)))

    def served(self, measured: Profile, report: Callable[[str], None]) -> Profile:
        """Return the profile with what a short load test of the answer teaches of service inside a server, and of what it leads to."""
        for _ in range(MOST_SERVED):
            try:
                site = self._site(measured)
                found = site.search(site.space(site.admitted())) if site is not None else None
                if site is None or found is None or not found.cheapest:
                    return measured
                configuration, replicas = found.cheapest[0]
                candidate = configuration.replicated(replicas, site.hardware)
                if any(_setting(entry) == _setting(candidate) for entry in site.service.calibrations):
                    return measured
                report(f"serving {candidate.variant} for {SERVED_S:g} s")
                prediction = predict(site, configuration, replicas, today_replicas=replicas)
                test = serve_for_real(site, prediction, self.folder, wanted_s=SERVED_S)
            except AdvisorError:
                return measured
            if not test.generator_kept_up:
                return measured
            here = measured.sites[0]
            measured = _with(measured, msgspec.structs.replace(here, calibrations=learned(here.calibrations, (test,))))
        return measured

    def _site(self, measured: Profile) -> SiteUnderLoad | None:
        """Return the measured machine under the workload; None where today's configuration runs elsewhere."""
        floor = self.workload.quality
        if floor is not None and floor.data is not None:
            measured = with_quality_on(measured, {examples_sha256(self.path.parent, floor.data)})
        if self._request is None:
            self._request = request_of(
                self.workload,
                measured,
                self.folder / "profile.json",
                workload_path=self.path,
                profile_sha256="",
                now=self.now,
            )
        home = under_load(measured, self._request, self.trace).home
        return home if home.hardware == measured.sites[0].hardware.id else None


def decider(path: Path | None, folder: Path, *, now: str, with_trial: bool) -> Decider | None:
    """Return the decision for the workload in the file; None without one, and for a batch job, which has no queue to decide on."""
    now = parse_moment(now)
    workload = read_question(path) if path is not None else None
    if path is None or not isinstance(workload, OnlineWorkload):
        return None
    return Decider(workload, path, folder, now=now, with_trial=with_trial)


def _with(measured: Profile, site: Site) -> Profile:
    return msgspec.structs.replace(measured, sites=(site, *measured.sites[1:]))


def _setting(entry: Calibration | object) -> tuple[object, ...]:
    return tuple(getattr(entry, name) for name in ("variant", "intra_op_num_threads", "instances"))
