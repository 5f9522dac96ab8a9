"""The keeper: every piece is on disk when it says so, and nothing is taken from a machine that lost its task."""

from advisor.steps.sweep.keeper import Keeper


def test_a_task_goes_on_elsewhere_from_what_was_kept(tmp_path):
    path = tmp_path / "m" / "profile.journal"
    keeper = Keeper({"m": str(path)})

    first = keeper.begun("m", "one")
    assert keeper.take("m", first.number, 0, b"head\na\n", 1)
    assert b"head\na\n" == path.read_bytes()
    second = keeper.begun("m", "two")

    assert (2, b"head\na\n") == second
    assert keeper.take("m", second.number, 7, b"b\n", 1)
    assert b"head\na\nb\n" == path.read_bytes()
    assert [("one", 1, False), ("two", 1, False)] == [
        (tried.machine, tried.entries, tried.ended is not None) for tried in keeper.tries("m")
    ]


def test_a_machine_that_was_taken_for_lost_changes_nothing_any_more(tmp_path):
    path = tmp_path / "profile.journal"
    keeper = Keeper({"m": str(path)})
    lost = keeper.begun("m", "one")
    keeper.take("m", lost.number, 0, b"head\n", 0)
    keeper.begun("m", "two")

    assert not keeper.take("m", lost.number, 5, b"late\n", 1)
    assert b"head\n" == path.read_bytes()


def test_a_journal_that_was_begun_anew_replaces_the_old_one(tmp_path):
    path = tmp_path / "profile.journal"
    path.write_bytes(b"old head\nand much more\n")
    keeper = Keeper({"m": str(path)})

    begun = keeper.begun("m", "one")
    keeper.take("m", begun.number, 0, b"head\n", 0)

    assert b"old head\nand much more\n" == begun.journal
    assert b"head\n" == path.read_bytes()


def test_it_knows_who_is_at_work_and_forgets_what_is_done(tmp_path):
    path = tmp_path / "profile.journal"
    keeper = Keeper({"m": str(path), "n": str(tmp_path / "n.journal")})
    begun = keeper.begun("m", "one")
    keeper.take("m", begun.number, 0, b"head\n", 0)

    assert ("m",) == keeper.at_work()
    keeper.ended("m", begun.number, 3)
    keeper.forget("m")

    assert () == keeper.at_work()
    assert not path.exists()
    assert () == keeper.tries("n")
    tried = keeper.tries("m")[0]
    assert 3 == tried.entries and tried.started <= tried.heard == tried.ended
