import pytest

from advisor.tell.language.decision import language_decision_rows
from advisor.tell.language.words import language_words
from advisor.tell.words.figures import as_text
from tests.tell.language_examples import BUILDERS

EXAMPLES = {builder.__name__: builder() for builder in BUILDERS}


def lines(name: str) -> dict[str, str]:
    advice = EXAMPLES[name]
    return {row.label: as_text(row.cells) for row in language_decision_rows(advice, language_words(advice))}


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_line_is_empty_and_money_stands_before_what_is_kept(name: str) -> None:
    found = lines(name)

    assert ["Decision", "Cost a month"] == [label for label in found if label != "What binds"][:2]
    assert all(text.strip() == text and text for text in found.values())


def test_each_target_says_with_how_much_to_spare_it_is_kept() -> None:
    assert (
        "p90 44.1 ms (40.1–48.9, simulated), at most 60 ms: kept, with 18.6 % to spare at the upper end."
        == (lines("chat_elsewhere")["TPOT"])
    )
    assert lines("missed_elsewhere")["TTFT"].endswith("at most 2 s: missed.")


def test_what_is_not_known_says_why_and_what_would_settle_it() -> None:
    assert (
        "Not enough: steps on mi300x are known to a factor of 1.6. It would be settled by a measurement of one replica there."
        == (lines("open_elsewhere")["How sure"])
    )
