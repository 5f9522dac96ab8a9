"""Options that commands share: declared once, the same wherever they are offered."""

import io
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from advisor import __version__, options
from advisor.cli import cli
from advisor.options import PROFILE_OPTIONS, profile_options, put
from advisor.schema.options import ProfileOptions

SHARED = {
    "inputs",
    "variants",
    "schemes",
    "students",
    "draft",
    "budget_s",
    "max_batch_size",
    "seed",
    "general",
    "fresh",
    "allow_code",
    "store",
}


def parameters(command):
    return {entry.name: entry.to_info_dict() for entry in cli.commands[command].params if entry.name != "now"}


def test_profile_and_recommend_offer_the_same_options():
    profile, recommend = parameters("profile"), parameters("recommend")

    assert SHARED <= profile.keys() and len(SHARED) == len(PROFILE_OPTIONS)
    assert {name: profile[name] for name in SHARED} == {name: recommend[name] for name in SHARED}


def test_every_option_of_a_profile_can_be_given_and_defaults_to_that_of_the_record():
    offered = {entry.name: entry for entry in cli.commands["profile"].params}

    assert set(ProfileOptions._fields) <= offered.keys()
    assert ProfileOptions() == given()


def commands(group=cli):
    """All commands, those of groups among them."""
    for command in group.commands.values():
        yield from commands(command) if isinstance(command, click.Group) else [command]


NUMBERS = [
    (command.name, entry.opts[0], entry.type)
    for command in commands()
    for entry in command.params
    if isinstance(entry.type, click.types.FloatParamType)
]


@pytest.mark.parametrize(("command", "option", "kind"), NUMBERS, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-nan"])
def test_no_option_takes_what_is_not_a_number(command, option, kind, value):
    with pytest.raises(click.BadParameter):
        kind.convert(value, None, None)


def given(*arguments):
    """What a command with the options of a profile gets of a command line."""

    @click.command()
    @profile_options
    @click.option("--hardware", default="local")
    @click.argument("model")
    def command(model, options):
        assert "m.onnx" == model
        return options

    return command.main(["m.onnx", *arguments], standalone_mode=False)


def test_what_is_given_arrives_in_one_record():
    found = given(
        "--variant", "a", "--variant", "b", "--scheme", "fp16", "--budget", "3", "--seed", "4", "--fresh", "--hardware", "t4"
    )

    assert (
        ProfileOptions(variants=(Path("a"), Path("b")), schemes=("fp16",), budget_s=3.0, seed=4, fresh=True, hardware="t4")
        == found
    )


@pytest.mark.parametrize(("text", "seconds"), [("90", 90.0), ("90 s", 90.0), ("2 min", 120.0), ("1500ms", 1.5), ("1 h", 3600.0)])
def test_a_budget_is_a_quantity_like_every_other(text, seconds):
    assert seconds == given("--budget", text).budget_s


@pytest.mark.parametrize("text", ["0.5", "900 ms", "2 eggs", "nan", "inf"])
def test_what_is_no_budget_is_a_usage_error(text):
    with pytest.raises(click.UsageError):
        given("--budget", text)


@pytest.mark.parametrize("output", [None, Path("-")])
def test_a_text_without_a_file_is_printed(output, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    put("a text\n", output, of=None, format_="text", inputs=())

    assert "a text\n" == capsys.readouterr().out and [] == list(tmp_path.iterdir())


def test_a_text_with_a_file_is_written_there(capsys, tmp_path):
    put("a text\n", tmp_path / "new" / "file", of=None, format_="text", inputs=())

    assert ("", f"a text\n(serving-advisor {__version__})\n") == (
        capsys.readouterr().out,
        (tmp_path / "new" / "file").read_text(),
    )


def test_there_is_one_way_to_merge():
    ended = CliRunner().invoke(cli, ["profile", "here.json", "--merge", "there.json"])

    assert 2 == ended.exit_code and "No such option" in ended.output


@pytest.mark.parametrize(("typed", "answer"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_who_sits_at_a_terminal_is_asked_and_nobody_else(typed, answer, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert not options.confirmed("really?\x1b[2J")  # nobody reads the question: stderr is none
    monkeypatch.setattr(sys, "stderr", Terminal())

    assert answer is options.confirmed("really?\x1b[2J")
    assert "\x1b" not in sys.stderr.getvalue() and "really?" in sys.stderr.getvalue()

    monkeypatch.setattr(sys, "stdin", None)
    assert not options.confirmed("really?")


def test_an_interrupt_in_the_place_of_an_answer_stays_one(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

        def readline(self, *_):
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", Terminal())

    with pytest.raises(KeyboardInterrupt):
        options.confirmed("really?")
