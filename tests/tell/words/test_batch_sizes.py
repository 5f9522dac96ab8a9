import pytest
from msgspec.structs import replace

from advisor.tell.words.batch_sizes import batch_sizes
from tests.tell.advice_examples import change

RECOMMENDED = change().recommended


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((1.0,), "100 % of 1 request"),
        ((0.6, 0.2, 0.1, 0.1), "60 % of 1 request, 20 % of 2, 20 % of 3 to 4"),
        ((0.5, 0.0, 0.1, 0.2, 0.2), "50 % of 1 request, 30 % of 3 to 4, 20 % of 5"),
        ((*(0.0,) * 8, 0.004, *(0.0,) * 6, 0.996), "100 % of 9 to 16"),
        ((0.997, 0.003), "100 % of 1 request"),
    ],
)
def test_sizes_of_batches_are_described_in_groups_that_double_and_rare_ones_not_at_all(
    shares: tuple[float, ...], expected: str
) -> None:
    assert f"{expected}; 1.7 on average" == batch_sizes(replace(RECOMMENDED, batch_size_shares=shares, mean_batch_size=1.7))
