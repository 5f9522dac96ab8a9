"""`advisor compare` and `advisor gate` as a pipeline runs them, and the pipelines themselves."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from advisor.files.records import to_json
from tests.damage import ended, is_refusal
from tests.tell import generation_examples
from tests.tell.advice_examples import about, change, inconclusive

CI = Path(__file__).parents[2] / "examples" / "ci"
NOW = ("--now", "2026-11-23T08:00:00+00:00")


def dearer(advice, times=2):
    """The same advice with more replicas of the same price."""
    best = advice.recommended
    month = best.cost_usd_per_hour.value * times
    return replace(
        advice,
        recommended=replace(
            best,
            candidate=replace(best.candidate, replicas=best.candidate.replicas * times),
            cost_usd_per_hour=replace(best.cost_usd_per_hour, value=month, low=month, high=month),
        ),
    )


@pytest.fixture
def folder(tmp_path):
    for name, advice in {
        "old": change(),
        "dear": dearer(change()),
        "open": inconclusive(),
        "chat": generation_examples.chat(),
    }.items():
        (tmp_path / f"{name}.json").write_bytes(to_json(advice))
    (tmp_path / "policy.yaml").write_text((CI / "policy.yaml").read_text())
    return tmp_path


@pytest.mark.parametrize(("new", "status"), [("old", 0), ("dear", 1), ("open", 3)])
def test_the_exit_status_is_that_of_the_policy(folder, new, status):
    for policy in ((), ("--policy", "policy.yaml")):
        ran, out, err = ended("compare", "old.json", f"{new}.json", *policy, *NOW, cwd=folder)

        assert (status, "") == (ran, err)
        assert out.startswith({0: "Passes", 1: "Fails", 3: "Cannot be told"}[status])


def test_one_file_is_held_against_the_policy(folder):
    (folder / "strict.yaml").write_text("cost_usd_per_month: {max: 300 $/month}\n")

    assert 0 == ended("gate", "old.json", "--policy", "strict.yaml", *NOW, cwd=folder)[0]
    assert 1 == ended("gate", "dear.json", "--policy", "strict.yaml", *NOW, cwd=folder)[0]
    assert 3 == ended("gate", "open.json", "--policy", "strict.yaml", *NOW, cwd=folder)[0]


def test_advice_that_is_no_longer_valid_breaks_the_policy(folder):
    (folder / "valid.yaml").write_text("valid_days: {min: 1}\n")

    ran = [
        ended("gate", "old.json", "--policy", "valid.yaml", "--now", day, cwd=folder)[0] for day in ("2026-11-23", "2029-01-01")
    ]

    assert [0, 1] == ran


def test_nothing_to_say_is_nothing_printed(folder):
    assert (0, "", "") == ended("compare", "old.json", "old.json", "--quiet-if-same", *NOW, cwd=folder)
    assert ended("compare", "old.json", "dear.json", "--quiet-if-same", *NOW, cwd=folder)[1].startswith("Fails")
    ended("compare", "old.json", "old.json", "--quiet-if-same", "--format", "md", "-o", "comment.md", *NOW, cwd=folder)
    assert not (folder / "comment.md").exists()


@pytest.mark.parametrize("format_", ["md", "json", "junit", "text"])
def test_what_was_written_is_written_again_and_nothing_else_is_overwritten(folder, format_):
    arguments = ("compare", "old.json", "dear.json", "--format", format_, "-o", "out", *NOW)

    assert (1, "", "") == ended(*arguments, cwd=folder)
    written = (folder / "out").read_bytes()
    assert (1, written) == (ended(*arguments, cwd=folder)[0], (folder / "out").read_bytes())
    before = (folder / "old.json").read_bytes()
    for other in ("old.json", "chat.json"):
        status, _, err = ended(*arguments[:-4], "-o", other, *NOW, cwd=folder)
        assert is_refusal(status, err)
    assert before == (folder / "old.json").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("compare", "old.json", "chat.json"),
            "old.json and chat.json: the one is advice on traffic, the other advice on a generative",
        ),
        (("compare", "old.json", "no.json"), "no.json: no such file"),
        (("compare", "policy.yaml", "old.json"), "policy.yaml: not a file that this version of advisor wrote"),
        (("compare", "-", "-"), "-: standard input cannot be both files"),
        (
            ("gate", "chat.json", "--policy", "policy.yaml"),
            "policy.yaml: latency_p99_s: advice on a generative model has no such",
        ),
        (("gate", "old.json", "--policy", "old.json"), "old.json: kind: unknown key"),
        (("verify", "-"), "-: what is observed is written into the advice"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_two_lines(folder, arguments, said):
    status, out, err = ended(*arguments, *NOW, cwd=folder)

    assert is_refusal(status, err) and "" == out
    assert f"error: {said}" in err


def test_a_dash_is_standard_input_wherever_advice_is_read(folder, monkeypatch):
    for arguments in (
        ("compare", "old.json", "-"),
        ("compare", "-", "old.json"),
        ("gate", "-"),
        ("report", "-", "--format", "text"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(to_json(change()))))

        status, out, err = ended(*arguments, *(() if arguments[0] == "report" else NOW), cwd=folder)

        assert (0, "") == (status, err) and out


def test_standard_input_that_is_empty_is_refused(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))

    status, _, err = ended("gate", "-", *NOW, cwd=folder)

    assert is_refusal(status, err) and err.startswith("error: -: ")


# --- pipelines -----------------------------------------------------------------------------------------------------------------

ADVISOR = f"""#!/bin/sh
if [ "$1" = recommend ]; then
    mkdir -p measured && cp "$ADVICE" measured/advice.json && echo report > measured/report.html && exit "$RECOMMENDED"
fi
exec {sys.executable} -m advisor.cli "$@"
"""
# Comments in a folder, a file each, as the API of GitHub keeps them: list with --jq, POST, and PATCH by number.
GH = f"""#!{sys.executable}
import os, re, sys
from pathlib import Path
folder, words = Path(os.environ["COMMENTS"]), sys.argv[1:]
assert words[0] == "api" and os.environ["GH_TOKEN"]
where = next(word for word in words if word.startswith("repos/owner/name/issues/"))
if "--jq" in words:
    mark = re.search(r'startswith\\("(.*)"\\)', words[words.index("--jq") + 1])[1]
    print(*(file.name for file in sorted(folder.iterdir()) if file.read_text().startswith(mark)), sep="\\n")
else:
    body = Path(next(word for word in words if word.startswith("body=@"))[6:]).read_text()
    method = words[words.index("--method") + 1]
    assert (method == "POST") == where.endswith("/7/comments")
    name = str(len(list(folder.iterdir())) + 1) if method == "POST" else where.rsplit("/", 1)[1]
    (folder / name).write_text(body)
"""


@pytest.fixture
def checkout(tmp_path):
    """A clone of a repository whose main branch holds advice, with commands in place of those that a runner has."""
    tools, comments, clone = tmp_path / "tools", tmp_path / "comments", tmp_path / "clone"
    for made in (tools, comments, tmp_path / "origin" / "advice"):
        made.mkdir(parents=True)
    for name, content in {"advisor": ADVISOR, "gh": GH, "pip": "#!/bin/sh\n"}.items():
        (tools / name).write_text(content)
        (tools / name).chmod(0o755)
    origin = tmp_path / "origin"
    (origin / "advice" / "advice.json").write_bytes(to_json(change()))
    (origin / "policy.yaml").write_text((CI / "policy.yaml").read_text())
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "advice")):
        subprocess.run([*git, *words], cwd=origin, check=True)
    subprocess.run([*git, "clone", "--quiet", origin, clone], check=True)
    return clone


def environment(checkout: Path, advice, **more: str) -> dict[str, str]:
    (checkout.parent / "new.json").write_bytes(to_json(advice))
    return {
        **os.environ,
        "PATH": f"{checkout.parent / 'tools'}:{os.environ['PATH']}",
        "ADVICE": str(checkout.parent / "new.json"),
        "RECOMMENDED": "0",
        "COMMENTS": str(checkout.parent / "comments"),
        "GITHUB_OUTPUT": str(checkout.parent / "output"),
        "GH_TOKEN": "token",
        **more,
    }


def steps_of_github(checkout: Path, advice, only: str | None = None, **more: str) -> int:
    """Run the shell steps of the workflow, as a runner does; return the status of the one that failed, or 0."""
    job = yaml.safe_load((CI / "github-actions.yml").read_text())["jobs"]["advice"]
    output = checkout.parent / "output"
    if only is None:
        output.write_text("")
    values = {"github.base_ref": "main", "github.event.number": "7", "github.repository": "owner/name", "github.token": "token"}
    for step in job["steps"]:
        if "run" not in step or only not in (None, step["name"]):
            continue
        known = values | {
            f"steps.compare.outputs.{name}": value
            for name, _, value in (line.partition("=") for line in output.read_text().split())
        }
        given = {
            name: re.sub(r"\$\{\{ *([\w.]+) *\}\}", lambda found, known=known: known[found[1]], value)
            for name, value in (job["env"] | step.get("env", {})).items()
        }
        assert "${{" not in step["run"]  # values of others reach a shell by its environment alone
        ran = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=checkout,
            env=environment(checkout, advice, **more) | given,
            check=False,
            capture_output=True,
            text=True,
        )
        if ran.returncode:
            return ran.returncode
    return 0


def test_a_pull_request_that_changes_nothing_gets_no_comment(checkout):
    assert 0 == steps_of_github(checkout, change())
    assert [] == list((checkout.parent / "comments").iterdir())


def test_a_pull_request_gets_one_comment_which_is_updated(checkout):
    comments = checkout.parent / "comments"

    assert 1 == steps_of_github(checkout, dearer(change()), RECOMMENDED="3")
    (comment,) = comments.iterdir()
    said = comment.read_text()
    assert ": fails" in said
    comment.write_text(said.splitlines()[0] + "\nwhat an earlier push had")
    (comments / "9").write_text("a remark of somebody's")
    assert 0 == steps_of_github(checkout, dearer(change()), only="Comment")
    assert {said, "a remark of somebody's"} == {it.read_text() for it in comments.iterdir()}


def test_a_measurement_that_went_wrong_ends_the_pipeline_with_its_status(checkout):
    assert 2 == steps_of_github(checkout, change(), RECOMMENDED="2")
    assert [] == list((checkout.parent / "comments").iterdir())


def test_the_job_of_gitlab_ends_with_the_status_and_leaves_its_test_report(checkout):
    job = yaml.safe_load((CI / "gitlab-ci.yml").read_text())["serving-advice"]

    ran = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", "\n".join(job["script"])],
        cwd=checkout,
        env=environment(checkout, dearer(change()), CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main"),
        check=False,
    )

    assert 1 == ran.returncode
    assert (checkout / job["artifacts"]["reports"]["junit"]).read_text().startswith("<?xml")


def test_the_hook_looks_at_advice_that_is_committed(folder):
    (hook,) = yaml.safe_load((CI / "pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    (folder / "advice").mkdir()
    (folder / "advice" / "advice.json").write_bytes(to_json(change()))

    name, *arguments = hook["entry"].split()

    assert "advisor" == name
    assert 0 == ended(*arguments, *NOW, cwd=folder)[0]
    assert re.search(hook["files"], "advice/advice.json") and not hook["pass_filenames"]


def test_the_comparison_as_json_is_one_of_its_schema(folder):
    _, out, _ = ended("compare", "old.json", "dear.json", "--format", "json", *NOW, cwd=folder)
    found = json.loads(out)

    assert ("comparison", "online", "broken") == (found["kind"], found["of"], found["held"])
    assert {"same"} == {it["outcome"] for it in found["figures"] if it["name"] == "latency_p99_s"}
    assert about(1.0, "measured", "").basis in {it["old"]["basis"] for it in found["figures"] if it["old"]}
