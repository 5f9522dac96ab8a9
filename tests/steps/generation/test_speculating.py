"""Prompt lookup is tried as far as the budget goes, what decides most first, and what is left out is named."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.measure.generation.openvino import profiling, prompts
from advisor.measure.generation.openvino.engine import Draft, Lookup
from advisor.measure.generation.openvino.profiling import SpeculationSetting
from advisor.measure.generation.openvino.prompts import Prompts
from advisor.measure.generation.openvino.speculation import FEWEST_ROUNDS
from advisor.measure.generation.scripts import Part, Script
from advisor.measure.generation.step_timing import Point
from advisor.measure.generation.timing.journal import GenerationJournal, Visited
from advisor.measure.generation.tokenizing import Windows
from advisor.measure.timing.ledger import Ledger
from advisor.schema.generation import Speculation, StepVisit
from advisor.schema.record import Estimate
from advisor.steps.generation.plan import How, Stage
from advisor.steps.generation.speculating import Drafting, Speculating, Speed, Trial
from tests.generation_profiles import variant
from tests.steps.generation.test_judging import plan

BUDGET_S, TOKEN_S, ALONE_S, MANY_S = 100.0, 0.001, 0.02, 0.05
QUICK = variant("openvino-int8", engine="openvino")
SLOW = variant("openvino-fp32", engine="openvino", lossless=True)
PROMPTS = Prompts(output_tokens=20, output_tokens_of_many=20, piece_tokens=40, copying=((1,) * 60,) * 64, free=((2,) * 40,) * 64)
GIVEN = Windows(tokens=((3,) * 50,) * 30, given=1, scored_bytes=(9,) * 30)


class Clock:
    """Seconds that go on when they are told to."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


class Engine:
    """Answers for the processes: each trial takes so many seconds (None: all that it may), and gives what is known, or nothing."""

    def __init__(self, clock, took_s, *, too_slow=()):
        self.clock, self.took_s, self.too_slow = clock, took_s, too_slow
        self.asked = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def call(self, limit, function, *arguments, **named):
        if function is prompts.read_prompts:
            return PROMPTS
        if function is profiling.speculation_opened:
            self.clock.now_s += 5.0
            return 5.0
        folder, _, text, listed, running = arguments
        self.asked.append((folder.name, text, running, len(listed)))
        self.clock.now_s += named["seconds"] if self.took_s is None else self.took_s
        return None if (text, running) in self.too_slow else record(text, running)


def record(text, running):
    one = Estimate(value=1.5, low=1.4, high=1.6, basis="measured", source="a test")
    return Speculation(
        text=text, running_requests=running, proposed_tokens=4, tokens_per_step=one, tpot_off_s=one, tpot_on_s=one, speedup=one
    )


def visit(name, factor):
    def of(seconds):
        return StepVisit(order=0, wall_s=(factor * seconds,), cpu_s=(factor * seconds,))

    parts = (
        Part(batch_size=0, context_tokens=0, tokens=100, visit=of(100 * TOKEN_S)),
        Part(batch_size=1, context_tokens=100, visit=of(ALONE_S)),
        Part(batch_size=8, context_tokens=800, visit=of(MANY_S)),
    )
    point = Point(variant=name, intra_op_num_threads=2, step=Script(7, 16, 100))
    return Visited(point=point, sha256="0" * 64, visit=of(1.0), elapsed_s=1.0, peak_memory_bytes=1, parts=parts)


@pytest.fixture
def speculating(tmp_path):
    """Return what tries lookup where so many seconds of the budget are spent, with the engine that it asks."""

    def made(spent_s, *, took_s=6.0, running=8, windows=GIVEN, journal="a.journal", draft=None, **engine):
        clock = Clock()
        asked = Engine(clock, took_s, **engine)
        ledger = Ledger(BUDGET_S, clock=clock)
        clock.now_s = spent_s
        kept = GenerationJournal(tmp_path / journal, "question")
        if not kept.entries:
            for name, factor in (("openvino-int8", 1.0), ("openvino-fp32", 2.0)):
                kept.add(visit(name, factor))
        stage = Stage(ledger, lambda *_, **__: None, asked, tmp_path, How(lambda: asked))
        trying = Speculating(plan(running=running), kept, stage, 2, draft)
        found = trying.tried([variant(), SLOW, QUICK], windows)
        return found, trying.exclusions, asked.asked

    return made


def test_with_time_every_text_is_tried_with_every_variant_what_decides_with_all_first(speculating):
    found, exclusions, asked = speculating(10.0)

    names, texts = ("openvino-int8", "openvino-fp32"), [("copying", 1), ("free", 8)]
    others = [("copying", 8), ("free", 1), ("given", 1), ("given", 8)]
    expected = [(name, trial) for trials in (texts, others) for name in names for trial in trials]
    assert expected == [(name, (text, running)) for name, text, running, _ in asked]
    assert dict.fromkeys(names, texts + others) == {
        name: [(it.text, it.running_requests) for it in records] for name, records in found.items()
    }
    assert [] == exclusions


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left_s=st.floats(0.0, 130.0))
def test_what_decides_is_tried_with_every_variant_though_each_uses_all_its_time(speculating, left_s):
    speeds = [Speed(factor * TOKEN_S, factor * ALONE_S, factor * MANY_S) for factor in (1.0, 2.0)]
    deciding = [Trial("copying", 1, PROMPTS.copying, 20), Trial("free", 8, PROMPTS.free, 20)]
    least_s = sum(FEWEST_ROUNDS * speed.pair_s(trial) for speed in speeds for trial in deciding)

    found, _, _ = speculating(130.0 - max(left_s, 1.001 * least_s), took_s=None, journal=f"{left_s.hex()}.journal")

    for name in ("openvino-int8", "openvino-fp32"):
        assert [("copying", 1), ("free", 8)] == [(it.text, it.running_requests) for it in found[name][:2]]


def test_what_there_is_no_time_for_is_named_with_what_it_takes(speculating):
    # Nothing is begun that would end beyond 130 s; a trial of many takes 6 s or more, one of one request 3 s.
    found, exclusions, asked = speculating(120.0, took_s=4.0)

    assert [("copying", 1), ("free", 1)] == [(text, running) for _, text, running, _ in asked]
    assert {"openvino-int8", "openvino-fp32"} == set(found)
    named = [entry.what for entry in exclusions]
    assert "prompt lookup on free text at 8 requests with openvino-int8" in named
    assert "prompt lookup with openvino-fp32" in named
    assert all("more than is left of the budget of" in entry.reason for entry in exclusions)


def test_what_turned_out_too_slow_is_named_and_not_tried_again(speculating):
    for journal in ("once.journal", "once.journal"):
        found, exclusions, asked = speculating(10.0, too_slow=(("free", 8),), journal=journal)

        assert ("free", 8) not in [(it.text, it.running_requests) for it in found["openvino-int8"]]
        reasons = {entry.what: entry.reason for entry in exclusions}
        assert "take longer than" in reasons["prompt lookup on free text at 8 requests with openvino-int8"]
    assert [] == asked


@pytest.mark.parametrize(
    ("windows", "loads"), [(None, []), (replace(GIVEN, tokens=GIVEN.tokens[:5], scored_bytes=(9,) * 5), [1])]
)
def test_the_users_text_is_tried_as_far_as_it_goes(speculating, windows, loads):
    found, exclusions, _ = speculating(10.0, windows=windows)

    assert loads == [it.running_requests for it in found["openvino-int8"] if it.text == "given"]
    assert (windows is not None) == any("5 pieces of it are long enough, and 24 are needed" in it.reason for it in exclusions)


def test_where_one_request_runs_at_once_nothing_is_tried_with_many(speculating):
    _, _, asked = speculating(10.0, running=1)

    assert {1} == {running for _, _, running, _ in asked}


def test_without_an_engine_that_has_it_nothing_is_said(tmp_path):
    stage = Stage(Ledger(BUDGET_S), lambda *_, **__: None, None, tmp_path, How())
    trying = Speculating(plan(), GenerationJournal(tmp_path / "b.journal", "question"), stage, 2)

    assert {} == trying.tried([variant()], GIVEN)
    assert [] == trying.exclusions


def test_a_draft_is_tried_on_the_users_text_first_with_the_forms_that_it_has(speculating, tmp_path):
    place = tmp_path / "draft"
    drafting = Drafting("small", "1" * 64, {"openvino-int8": place}, 2)
    found, exclusions, asked = speculating(10.0, draft=drafting)
    _, _, looked_up = speculating(10.0, journal="a.journal")

    assert [("given", 1), ("given", 8), ("free", 1), ("free", 8)] == [(text, running) for _, text, running, _ in asked]
    assert {"openvino-int8"} == set(found) and [] == exclusions
    # What a draft did says nothing of lookup, and the other way round.
    assert 12 == len(looked_up)


def test_what_proposes_tokens_is_the_draft_where_one_is_given():
    setting = SpeculationSetting(intra_op_num_threads=1, most_running=1, longest_prompt=1, most_output_tokens=1)
    drafted = replace(setting, draft="small", draft_folder=Path("small"), proposed_tokens=2)

    assert (Lookup(4), Draft(Path("small"), 2)) == (setting.proposer, drafted.proposer)
