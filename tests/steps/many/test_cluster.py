"""Work over the machines of a cluster, where there are none; a real cluster is in tests/steps/sweep/test_cluster.py."""

from types import SimpleNamespace

import pytest

from advisor.errors import InputError
from advisor.steps.many.cluster import over_nodes
from advisor.steps.many.workers import Work
from tests.steps.many.test_workers import endless


def test_a_cluster_that_has_no_processor_is_not_waited_for_beyond_patience():
    task = SimpleNamespace(remote=lambda *_: object())
    empty = SimpleNamespace(
        remote=lambda _: SimpleNamespace(options=lambda **_: task),
        put=lambda thing: thing,
        wait=lambda refs, timeout: ([], refs),
        nodes=lambda: [{"Alive": True, "Resources": {"memory": 1.0}}, {"Alive": False, "Resources": {"CPU": 4.0}}],
    )

    with pytest.raises(InputError, match="no machine of the cluster has had a processor to give for 0 s") as refused:
        list(over_nodes(empty, Work(list, lambda thing, _: thing), range(3), chunk=1, patience_s=0.0))

    assert "ray start" in refused.value.hint


def test_things_are_taken_as_they_are_needed():
    taken = []
    at_once = SimpleNamespace(
        remote=lambda function: SimpleNamespace(options=lambda **_: SimpleNamespace(remote=function)),
        put=lambda thing: thing,
        get=lambda result: result,
        wait=lambda refs, timeout: (refs, []),
        nodes=lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}],
        exceptions=SimpleNamespace(RayError=KeyError, RayTaskError=IndexError),
    )
    answers = over_nodes(at_once, Work(list, lambda thing, _: thing), endless(taken), chunk=3)
    first = [next(answers) for _ in range(100)]
    answers.close()

    assert list(range(100)) == first
    assert len(taken) <= 100 + 3 * (4 * 2 + 1)
