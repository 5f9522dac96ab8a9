"""What the profile of a model that answers in one pass shares: itself, and each variant that a later profile can do without making."""

import os
from collections.abc import Callable

from advisor.errors import InputError
from advisor.files.workload import examples_sha256
from advisor.measure.model.kept_files import read_mark
from advisor.measure.runtime.ort_session import versions
from advisor.measure.timing.ledger import Ledger
from advisor.measure.variants.making import Plan, Report
from advisor.measure.variants.processes import Tools
from advisor.quality_floor import OWN
from advisor.schema.catalog import Scheme
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Profile, Site
from advisor.steps.examples import base_of
from advisor.steps.shared.keys import profile_key, variant_key
from advisor.steps.shared.profiles import Here, SharedProfile, files_of
from advisor.store.store import Store


def saying(report: Report, ledger: Ledger) -> Callable[[str], None]:
    """Return what reports a sentence on what was measured before."""
    return lambda line: report(ledger.spent_s, ledger.expected_s, "looking at what was measured before", line=line)


class SharedSite:
    """The profile of a plan and its variants in the store that the options name; without one, there is nothing to be found."""

    def __init__(
        self, options: ProfileOptions, plan: Plan, catalog: tuple[Scheme, ...], tools: Tools, say: Callable[[str], None]
    ) -> None:
        self._plan, self._tools, self._say = plan, tools, say
        self._profile: SharedProfile[Site] = SharedProfile(options.store, _here(options, plan, catalog), say, fresh=options.fresh)

    def site(self) -> Site | None:
        """Return what was measured on a machine of this kind before, its variants beside the profile and whole; None: nothing.

        Then the variants that were made of the model before lie there, as many as the store has.
        """
        site = self._profile.site()
        if site is not None and self._tools.restored(site.variants):
            return site
        if self._profile.store is not None:
            self._fetch_variants(self._profile.store)
        return None

    def put(self, measured: Profile) -> None:
        """Put what was measured here, and the variants that were made for it; where that does not work, say so."""
        self._profile.put(measured)
        if self._profile.store is not None:
            try:
                self._put_variants(self._profile.store)
            except InputError as error:
                self._say(f"variants were not put into the store: {error.fault}")

    def _fetch_variants(self, store: Store) -> None:
        for scheme in self._plan.schemes:
            if self._tools.is_made(scheme):
                continue
            entry = store.find(variant_key(self._plan.facts, self._tools.recipe(scheme)))
            if entry is None or not all(file.name.startswith(_file(scheme)) for file in entry.files):
                continue
            if store.fetch(entry, self._plan.folder):
                self._say(f"{scheme.id}: made before, and taken from {store.url}")

    def _put_variants(self, store: Store) -> None:
        for scheme in self._plan.schemes:
            path = self._plan.folder / _file(scheme)
            mark = read_mark(path)
            key = None if mark is None else variant_key(self._plan.facts, mark.recipe)
            if key is not None and store.find(key) is None:
                store.put(key, {file.name: file for file in files_of(path)}, created=self._plan.created)


def _file(scheme: Scheme) -> str:
    return f"{scheme.id}.onnx"


def _here(options: ProfileOptions, plan: Plan, catalog: tuple[Scheme, ...]) -> Here:
    """Return what is asked of the store: all that a run is resumed under, but for what two machines of one kind differ in."""
    metric = plan.settings.quality_metric
    own = examples_sha256(base_of(options), metric) if metric is not None and OWN.fullmatch(metric) else None
    beside = plan.folder.parent
    given = zip(plan.settings.given_sha256, plan.given, strict=True)
    files = {
        plan.facts.sha256: plan.baseline,
        **dict(given),
        **{made.graph.sha256: made.path for made in plan.students},
    }
    return Here(
        key=profile_key(
            plan.facts, plan.settings, plan.hardware, plan.machine, versions(), catalog, plan.providers, plan.provider, own
        ),
        folder=plan.folder,
        created=plan.created,
        files={digest: os.path.relpath(path, beside) for digest, path in files.items()},
        inputs_path=plan.inputs_path,
    )
