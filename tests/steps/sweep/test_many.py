"""Advice on many pairs: the same rows by any number of processes, those of single advice, and what is wrong with one costs that one."""

import json
from pathlib import Path

import msgspec
import pytest

from advisor.disk.kinds import ADVICE
from advisor.errors import ExitStatus, InputError
from advisor.files.records import to_json
from advisor.schema.advice import Advice
from advisor.steps.advise import advise_on
from advisor.steps.many.advising import Asked, advise_all, check_wanted, exit_status
from advisor.steps.many.pairs import pairs_in
from advisor.steps.sweep.many import Settings, advise_chunk, advise_many
from tests.profiles import NOW, fixed_cost_law, profile

WORKLOAD = {
    "name": "service",
    "traffic": {"requests_per_s": 40},
    "slo": {"latency_s": "100 ms", "quantile": 0.9},
    "hardware": {"price_usd_per_hour": {"local": 0.34}},
    "baseline": {"replicas": 4},
}
REFUSED = {"slo": {}}
IMPOSSIBLE = {"slo": {"latency_s": "1 ms"}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("profile.json").write_bytes(to_json(profile(fixed_cost_law(0.003, 0.006))))
    lines = [WORKLOAD | {"name": f"service {number}"} | changed for number, changed in enumerate(({}, REFUSED, IMPOSSIBLE, {}))]
    Path("w.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return tmp_path


def settings(**changed):
    return Settings(NOW, 0.95, 1.5, None, Path("out"), (), **changed)


def pairs(path="w.jsonl"):
    return pairs_in(Path(path), Path("profile.json"))


def test_rows_are_the_same_by_any_number_of_processes(here):
    alone = list(advise_many(pairs(), settings(with_advice=False), processes=1))

    assert alone == list(advise_many(pairs(), settings(with_advice=False), processes=2))
    assert ["change", "failed", "infeasible", "change"] == [row.outcome for row in alone]
    assert ("w.jsonl:2: slo.latency_s: missing; advisor advise, profile -w and recommend need it") == alone[1].failure.fault
    assert not Path("out").exists()


def test_the_advice_of_a_pair_is_that_on_its_workload_alone_to_the_byte(here):
    Path("w.yaml").write_text(json.dumps(WORKLOAD))
    Path("one.jsonl").write_text('{"id": "one", "workload": "w.yaml"}\n')

    (row,) = advise_chunk(tuple(pairs("one.jsonl")), settings(with_advice=True))

    assert to_json(advise_on(Path("profile.json"), Path("w.yaml"), now=NOW)) == Path("out/one/advice.json").read_bytes()
    assert ("one/advice.json", "w.yaml") == (row.advice_path, row.workload_path)


def test_without_files_nothing_but_the_frontier_is_left_out(here):
    Path("w.yaml").write_text(json.dumps(WORKLOAD))
    Path("one.jsonl").write_text('{"id": "one", "workload": "w.yaml"}\n')

    (whole,), (short,) = (advise_chunk(tuple(pairs("one.jsonl")), settings(with_advice=it)) for it in (True, False))

    assert msgspec.structs.replace(whole, advice_path=None) == short


def test_a_fault_in_one_pair_is_its_row_alone(here):
    both = ({"id": "gone", "workload": "nowhere.yaml"}, {"id": "there", "workload": WORKLOAD})
    Path("two.jsonl").write_text("".join(f"{json.dumps(it)}\n" for it in both))

    gone, there = advise_many(pairs("two.jsonl"), settings(with_advice=False), processes=1)

    assert ("failed", "nowhere.yaml: no such file") == (gone.outcome, gone.failure.fault)
    assert "change" == there.outcome


def test_a_folder_of_advice_has_a_row_and_advice_of_each_and_an_overview(here):
    asked = Asked(Path("w.jsonl"), Path("profile.json"), 1)

    first = advise_all(asked, settings(), report=lambda *_: None)
    again = advise_all(asked, settings(), report=lambda *_: None)

    assert ExitStatus.WRONG_INPUT == exit_status(first)
    assert {
        "rows.jsonl",
        "rows-before.jsonl",
        "overview.json",
        "overview.html",
        "overview.md",
        "overview-charts",
        "1",
        "3",
        "4",
        ".serving-advisor",
    } == {it.name for it in Path("out").iterdir()}
    assert ADVICE.is_at(Path("out/1/advice.json"))
    assert msgspec.json.decode(Path("out/1/advice.json").read_bytes(), type=Advice).headline in {
        row.headline for row in first.rows
    }
    assert (None, 0, 0, 0) == (first.since, again.since.changed, again.since.added, again.since.gone)
    assert 'href="1/advice.json"' in Path("out/overview.html").read_text()


def test_a_report_of_each_is_what_the_overview_leads_to(here):
    Path("one.jsonl").write_text(json.dumps(WORKLOAD) + "\n")

    advise_all(Asked(Path("one.jsonl"), Path("profile.json"), 1), settings()._replace(formats=("html",)), report=lambda *_: None)

    assert Path("out/1/report.html").is_file()
    assert 'href="1/report.html"' in Path("out/overview.html").read_text()


@pytest.mark.parametrize(
    "asked",
    [
        Asked(Path("nowhere.jsonl"), Path("profile.json"), 1),
        Asked(Path("w.jsonl"), Path("nowhere.json"), 1),
        Asked(Path("w.jsonl"), None, 1),
        Asked(Path("w.jsonl"), Path("profile.json"), 1, ray="auto"),
        Asked(Path("w.jsonl"), Path("profile.json"), None, ray="ray://nowhere:1"),
    ],
)
def test_what_cannot_be_begun_with_is_refused_and_leaves_nothing(here, asked):
    with pytest.raises(InputError):
        advise_all(asked, settings(), report=lambda *_: None)

    assert not Path("out").exists()


def test_a_folder_of_somebody_else_is_left_alone(here):
    Path("out").mkdir()
    Path("out/notes").write_text("mine")

    with pytest.raises(InputError, match="did not make"):
        advise_all(Asked(Path("w.jsonl"), Path("profile.json"), 1), settings(), report=lambda *_: None)


def test_reports_of_rows_alone_are_refused():
    with pytest.raises(InputError, match="--reports, --rows-only"):
        check_wanted(reports=True, rows_only=True)
