"""Progress in a log: a line at most every ten seconds, what matters first, and nothing but printable text."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor import progress
from advisor.progress import PLAIN_EVERY_S, plain


class Log:
    """What was written, by a clock that the test sets."""

    def __init__(self):
        self.now_s, self.written = 0.0, []
        self.report = plain(self.written.append, lambda: self.now_s)

    def at(self, now_s, what, line=None, done_s=0.0, of_s=60.0):
        self.now_s = now_s
        self.report(done_s, of_s, what, line=line)


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.text(), st.none() | st.text()), max_size=40))
def test_a_log_gets_a_line_every_ten_seconds_at_most_and_only_printable_ones(events):
    log, now_s, times = Log(), 0.0, []
    for pause_s, what, line in events:
        now_s += pause_s
        before = len(log.written)
        log.at(now_s, what, line)
        times += [now_s] * (len(log.written) - before)

    assert all(later - earlier >= PLAIN_EVERY_S for earlier, later in pairwise(times))
    assert all(text.endswith("\n") and text[:-1].isprintable() for text in log.written)


def test_the_time_left_is_that_of_all_stages():
    log = Log()
    log.at(0.0, "making int8-dynamic", done_s=10.0, of_s=25.0)

    assert ["advisor: making int8-dynamic (about 15 s left)\n"] == log.written


def test_where_nobody_knows_how_long_it_takes_the_time_so_far_is_said():
    log = Log()
    log.at(0.0, "fitting the student", done_s=12.0, of_s=math.inf)

    assert ["advisor: fitting the student (12 s so far)\n"] == log.written


def test_a_sentence_waits_until_a_line_is_due_and_the_newest_is_the_one():
    log = Log()
    log.at(0.0, "loading")
    log.at(1.0, "timing", line="two replicas, perhaps")
    log.at(2.0, "timing", line="one replica, perhaps")
    log.at(11.0, "timing fp32")
    log.at(30.0, "timing int8")

    assert [
        "advisor: loading (about 60 s left)\n",
        "advisor: one replica, perhaps; timing fp32 (about 60 s left)\n",
        "advisor: timing int8 (about 60 s left)\n",
    ] == log.written


def test_control_characters_in_names_do_not_reach_the_log():
    log = Log()
    log.at(0.0, "timing a\x1b[31mb\nc")

    assert ["advisor: timing a\\x1b[31mb\\nc (about 60 s left)\n"] == log.written


def test_a_pipe_gets_plain_lines_whatever_the_environment_says(capsys, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR_FORCE"):
        monkeypatch.setenv(name, "1")

    with progress.progress() as report:
        report(0.0, 10.0, "timing fp32", line="about 10 s in all")

    assert "advisor: about 10 s in all; timing fp32 (about 10 s left)\n" == capsys.readouterr().err


@pytest.mark.parametrize(("done_s", "of_s"), [(0.0, 60.0), (70.0, 60.0), (5.0, math.inf)])
def test_a_terminal_shows_sentences_above_the_bar_without_taking_them_for_markup(done_s, of_s, capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)

    with progress.progress() as report:
        report(done_s, of_s, "timing [bold]x[/]", line="one [red] replica")

    assert "one [red] replica" in capsys.readouterr().err
