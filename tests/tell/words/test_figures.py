from typing import get_args

import pytest

from advisor import units
from advisor.schema.record import Basis
from advisor.tell.words.figures import GLOSSARY, as_text, figure
from tests.tell.advice_examples import about


def test_every_basis_is_explained() -> None:
    assert {*get_args(Basis), "fixed", "same at both ends"} == set(GLOSSARY)


@pytest.mark.parametrize(("spread", "expected"), [(0.1, "p99: 50 ms (45–56, measured)"), (0.0, "p99: 50 ms (fixed, measured)")])
def test_a_figure_in_a_sentence_has_its_interval_and_its_basis(spread: float, expected: str) -> None:
    latency = about(0.05, "measured", "a test", spread=spread)

    assert expected == as_text(("p99: ", figure(latency, units.seconds)))


def test_what_is_absent_is_said_in_words_and_has_no_interval() -> None:
    assert "power not known" == as_text(figure(None, units.joules, "power not known"))
