"""Names of students: what each keeps of its teacher, and which are proposed for a model."""

import re
from typing import NamedTuple

from advisor.errors import InputError
from advisor.schema.distillation import StudentKind

AUTO = "auto"  # all that is proposed
NUMBER = "[1-9][0-9]{0,6}"
NAME = re.compile(
    rf"layers-(?P<layers>{NUMBER})(?:-width-(?P<narrow>{NUMBER}))?|width-(?P<width>{NUMBER})|trees-(?P<trees>{NUMBER})|linear|mlp|static"
)
FORMS = "layers-N, width-N, layers-N-width-N, trees-N, linear, mlp, static"
# What published students keep of their teachers: half of the layers (DistilBERT, arXiv:1910.01108), a third and less (TinyBERT,
# arXiv:1909.10351; MiniLM, arXiv:2002.10957); those say also how narrow.
LAYER_PARTS = (2, 4, 8)
TREE_PARTS = (2, 10)


class StudentName(NamedTuple):
    """What a student keeps: layers or trees, and the width of its hidden states; None where the teacher's is kept."""

    kind: StudentKind
    blocks: int | None = None
    width: int | None = None

    @property
    def id(self) -> str:
        """The name as commands take it."""
        if self.kind == "trees":
            return f"trees-{self.blocks}"
        if self.kind != "blocks":
            return self.kind
        layers = [] if self.blocks is None else [f"layers-{self.blocks}"]
        return "-".join([*layers, *([] if self.width is None else [f"width-{self.width}"])])


def parse(text: str) -> StudentName:
    """Return what a name says; raise InputError for one that says nothing."""
    found = NAME.fullmatch(text)
    if found is None:
        raise InputError(f"--student: {text[:100]!r} names no student", hint=f"name one of: {FORMS} (N: how many stay)")
    number = {key: int(value) for key, value in found.groupdict().items() if value is not None}
    if "trees" in number:
        return StudentName("trees", blocks=number["trees"])
    if number:
        return StudentName("blocks", blocks=number.get("layers"), width=number.get("narrow", number.get("width")))
    kinds: dict[str, StudentKind] = {"linear": "linear", "mlp": "mlp", "static": "static"}
    return StudentName(kinds[text])


def is_name(text: str) -> bool:
    """Return whether a text names a student, as opposed to a file."""
    return NAME.fullmatch(text) is not None


def proposed_blocks(layers: int, *, width: int | None, multiple: int = 1) -> tuple[str, ...]:
    """Return the students to try for a transformer, in order of hope: fewer layers, half the width, both.

    `width` is None where the width cannot be changed; widths are whole multiples of `multiple`, the size of a head.
    """
    counts = list(dict.fromkeys(-(-layers // part) for part in LAYER_PARTS if layers > 1))
    fewer = [StudentName("blocks", blocks=count) for count in counts]
    half = None if width is None else max(1, width // 2 // multiple) * multiple
    if width is None or half is None or half >= width:
        return tuple(name.id for name in fewer)
    narrow = [StudentName("blocks", width=half), *(StudentName("blocks", blocks=count, width=half) for count in counts[:1])]
    return tuple(name.id for name in (*fewer[:2], *narrow, *fewer[2:]))


def proposed_trees(trees: int) -> tuple[str, ...]:
    """Return the students to try for an ensemble of trees: half and a tenth of them."""
    counts = dict.fromkeys(-(-trees // part) for part in TREE_PARTS if trees > 1)
    return tuple(StudentName("trees", blocks=count).id for count in counts)


def kept_blocks(blocks: int, wanted: int) -> tuple[int, ...]:
    """Return which of so many blocks a student of `wanted` keeps: evenly spaced, the first and the last among them; of one, the first."""
    if wanted == 1:
        return (0,)
    gaps = wanted - 1
    return tuple((2 * number * (blocks - 1) + gaps) // (2 * gaps) for number in range(wanted))


def refuse_more(asked: int, there: int, what: str, student_id: str, model: object) -> None:
    """Raise InputError unless fewer are asked for than there are."""
    if asked >= there:
        more = f"from 1 to {there - 1}" if there > 1 else "there is nothing to leave out"
        raise InputError(f"--student {student_id}: {model} has {there:,} {what}, and a student has fewer", hint=f"{what}: {more}")
