"""How long a variant is looked at, and what it must show: what a test or a benchmark asks for otherwise, it hands over in the plan."""

import msgspec


class ScreeningSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The first look at the speed of a variant, the time for judging its quality, and what is worth mixing."""

    # The first look at speed.
    looks: int = 3
    look_s: float = 0.03
    look_calls: int = 2
    long_looks: int = 2  # where a call is expected to take so long that hardly any noise hides
    long_look_calls: int = 1
    hopeless: float = 0.9  # of the baseline's speed: below that at every look, at every size, no longer measurement will help
    worth_mixing: float = 1.1  # what is faster by more than this than anything that holds as it is
    # Of the data, in random order: who has lost too much on these is not run on the rest.
    first_items: int = 256
    # What the baseline's answers to the user's examples may take, as a part of the time for measuring, and at the least: those that
    # come later in their random order are left out. Every variant that is judged takes as long once more.
    judging_share: float = 0.25
    least_judging_s: float = 5.0
