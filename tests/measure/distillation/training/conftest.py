"""What holds for every test of learning: models this small learn on one thread."""

import pytest

from advisor.measure.runtime import machine


@pytest.fixture(scope="module", autouse=True)
def on_one_thread():
    """Threads of a model this small would only wait for each other, all the more on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "core_count", lambda: 1)
        yield
