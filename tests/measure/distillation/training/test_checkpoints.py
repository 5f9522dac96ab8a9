"""Checkpoints: only whole ones are gone on from."""

from advisor.measure.distillation.training import checkpoints
from advisor.measure.distillation.training.checkpoints import Mark, Plan


def make(folder, step, *, is_whole):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights")
    if is_whole:
        checkpoints.mark_whole(path, step, step / 2)
    return path


def test_the_latest_whole_checkpoint_is_gone_on_from(tmp_path):
    make(tmp_path, 9, is_whole=True)
    latest = make(tmp_path, 10, is_whole=True)
    make(tmp_path, 11, is_whole=False)

    assert (latest, Mark(step=10, seconds=5.0)) == checkpoints.last_whole(tmp_path)


def test_nothing_is_gone_on_from_where_nothing_is_whole(tmp_path):
    (make(tmp_path, 3, is_whole=False) / checkpoints.MARK).write_text("half of a ma")

    assert checkpoints.last_whole(tmp_path) is None
    assert checkpoints.last_whole(tmp_path / "absent") is None


def test_broken_ones_are_removed_and_whole_ones_and_all_else_stay(tmp_path):
    whole, broken = make(tmp_path, 10, is_whole=True), make(tmp_path, 11, is_whole=False)
    (tmp_path / "start").mkdir()

    checkpoints.remove_broken(tmp_path)

    assert whole.is_dir() and (tmp_path / "start").is_dir() and not broken.exists()


def test_a_plan_is_read_as_it_was_written_and_damage_is_none(tmp_path):
    plan = Plan(recipe="r", steps=100, batch_size=8, longest=64, threads=2, watched=9)
    checkpoints.write_plan(tmp_path, plan)

    assert plan == checkpoints.read_plan(tmp_path)
    (tmp_path / checkpoints.PLAN).write_text('{"recipe": 3}')
    assert checkpoints.read_plan(tmp_path) is None
