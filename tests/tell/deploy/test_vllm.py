"""The script for vLLM: the advised arguments, each as it was."""

import shlex
import subprocess

import pytest
from msgspec.structs import replace

from advisor.errors import InputError
from advisor.tell.deploy import vllm
from tests.tell.language_examples import chat_elsewhere, missed_elsewhere, open_elsewhere

ARGUMENTS = ("--model MODEL", "--tensor-parallel-size 4", '--speculative-config \'{"method": "mtp"}\'')


def advised(*arguments):
    return replace(chat_elsewhere(), engine_arguments=arguments)


def test_the_script_starts_the_engine_with_the_advised_arguments():
    advice = advised(*ARGUMENTS)

    script = vllm.script(advice, vllm.arguments(advice, most_likely=False))

    wanted = [*vllm.SERVER, *(part for argument in ARGUMENTS for part in shlex.split(argument)), "$@"]
    assert wanted == shlex.split(script.partition("exec ")[2].replace("\\\n", " "))


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "{{7*7}}", "\x1b[31mred", "\u202egnp", "a\n`id` $(id)", 'it\'s "a"']
)
def test_a_hostile_name_stays_one_word(name, tmp_path):
    advice = advised(f"--model {shlex.quote(name)}", "--max-num-seqs 8")
    script = vllm.script(advice, vllm.arguments(advice, most_likely=False))
    told = script.replace("exec python -m", "printf '%s\\0'")

    ran = subprocess.run(["bash", "-c", told], capture_output=True, check=True, cwd=tmp_path, env={"LC_ALL": "C.UTF-8"})

    assert [vllm.SERVER[2], "--model", name, "--max-num-seqs", "8"] == ran.stdout.decode().split("\0")[:-1]
    assert "\x1b" not in script and "\u202e" not in script


def test_nothing_is_written_where_nothing_is_recommended_unless_the_most_likely_is_asked_for():
    likely = replace(open_elsewhere(), engine_arguments=ARGUMENTS)

    assert 6 == len(vllm.arguments(likely, most_likely=True))
    for advice, asked in ((likely, False), (missed_elsewhere(), True), (replace(likely, engine_arguments=()), True)):
        with pytest.raises(InputError):
            vllm.arguments(advice, most_likely=asked)
