"""How long a variant is looked at, and what it must show: what a test or a benchmark asks for otherwise, it hands over in the plan.

These are the most of each; what the ledger leaves less time for is cut down.
"""

import msgspec


class ScreeningSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The first look at the speed of a variant, the time for judging its quality, and what is worth mixing."""

    # Outputs side by side: do they agree?
    compared_items: int = 16
    calibration_items: int = 128
    # The first look at speed.
    look_batch_sizes: tuple[int, ...] = (1, 8)
    looks: int = 3
    look_s: float = 0.03
    look_calls: int = 2
    long_call_s: float = 0.25  # batches of which would take seconds to look at
    long_looks: int = 2  # where a call is expected to take so long that hardly any noise hides
    long_look_calls: int = 1
    hopeless: float = 0.9  # of the baseline's speed: below that at every look, at every size, no longer measurement will help
    hopeless_at_one_look: float = 0.7  # which a busy moment can spoil
    worth_mixing: float = 1.1  # what is faster by more than this than anything that holds as it is
    # Of the data, in random order: who has lost too much on these is not run on the rest.
    first_items: int = 256
    # What the answers to the user's examples may take, as a part of the time beside making, and at the most: items that come later in
    # their random order are left out. The model as given and every variant that is judged take as long.
    judging_share: float = 0.4
    judging_s: float = float("inf")
