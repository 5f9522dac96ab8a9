"""Work over the machines of a cluster, where there are none; a real cluster is in tests/steps/sweep/test_cluster.py."""

from types import SimpleNamespace

import pytest

from advisor.errors import InputError
from advisor.steps.many.cluster import over_nodes
from advisor.steps.many.workers import Work


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
