"""Work over processes: the same answers in the same order, whatever the number of processes, and a killed one costs one thing."""

import itertools
import os
import signal

import psutil
import pytest

from advisor.errors import AdvisorError, InputError
from advisor.steps.many.workers import Work, over_processes


def squares(things):
    return [thing * thing for thing in things]


def lost(thing, error):
    return f"{thing} {error.fault}"


def killed_at_five(things):
    if 5 in things:
        os.kill(os.getpid(), signal.SIGKILL)
    return squares(things)


def endless(taken):
    """Yield numbers without an end, each noted as it is taken."""
    for thing in itertools.count():
        taken.append(thing)
        yield thing


def refused(things):
    raise InputError(f"{things[0]}: no number", hint="write one")


@pytest.mark.parametrize(("processes", "chunk"), [(1, 4), (2, 1), (3, 4), (2, 100)])
def test_answers_come_in_the_order_of_the_things(processes, chunk):
    found = list(over_processes(Work(squares, lost), range(23), processes=processes, chunk=chunk))

    assert [thing * thing for thing in range(23)] == found


def test_things_are_taken_as_they_are_needed():
    taken = []
    answers = over_processes(Work(squares, lost), endless(taken), processes=2, chunk=3)
    first = [next(answers) for _ in range(5)]
    answers.close()

    assert [0, 1, 4, 9, 16] == first
    assert len(taken) <= 3 * (5 + 4 * 2)


def test_only_what_kills_its_process_is_lost():
    found = list(over_processes(Work(killed_at_five, lost), range(12), processes=2, chunk=4))

    assert [thing * thing for thing in range(12) if thing != 5] == [answer for answer in found if isinstance(answer, int)]
    assert found[5].startswith("5 the process that worked on it ended (signal 9)")


@pytest.mark.parametrize("processes", [1, 2])
def test_what_refuses_the_work_as_a_whole_keeps_its_way_out(processes):
    with pytest.raises(InputError, match="0: no number") as caught:
        list(over_processes(Work(refused, lost), range(3), processes=processes, chunk=1))

    assert "write one" == caught.value.hint


def test_no_process_is_left_when_nobody_asks_on():
    before = psutil.Process().children()
    answers = over_processes(Work(squares, lost), itertools.count(), processes=2, chunk=1)
    next(answers)
    assert len(before) < len(psutil.Process().children())
    answers.close()

    assert before == psutil.Process().children()


def test_an_error_is_the_same_in_another_process():
    import pickle

    made = pickle.loads(pickle.dumps(AdvisorError("this", hint="that")))

    assert ("this", "that", AdvisorError) == (made.fault, made.hint, type(made))
