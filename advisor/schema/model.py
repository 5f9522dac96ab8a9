"""What a model file is: its graph as declared, and its facts as proved by running it."""

from typing import Annotated, Literal

from msgspec import Meta

from advisor.schema.record import Count, Fraction, Length, NonNegative, Record, Sha256, Whole

Family = Literal["cnn", "encoder", "decoder", "encoder-decoder", "tree", "other"]
Role = Literal["ids", "mask", "segment", "position", "state", "scalar", "count", "features"]
# Of an element, as NumPy calls it.
Element = Annotated[str, Meta(pattern=r"^(string|bool|u?int[0-9]{1,2}|b?float[0-9a-z_]+|complex(64|128))\Z")]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class ModelInput(Record, frozen=True, kw_only=True):
    """One graph input; `shape` holds an int where fixed, a symbol where named, None where unknown."""

    name: str
    dtype: Element
    shape: tuple[int | str | None, ...]
    example_shape: tuple[Whole, ...]  # one item that the model accepted
    role: Role
    batch_axis: Whole | None
    sequence_axis: Whole | None
    upper_bound: Whole | None  # exclusive bound of valid integers, where the graph declares it (vocabulary size)
    scalar_value: Integer | None = None  # what a scalar is set to: a constant that the graph compares it with
    given_values: tuple[Integer | float, ...] | None = None  # of a count: what the user gave, since the cost depends on it
    batch_multiple: Count = 1  # the batch axis takes multiples of it alone: fewer items are filled up with copies of the last


class ModelOutput(Record, frozen=True, kw_only=True):
    """One graph output; `has_classes` when its last axis scores classes."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]
    has_classes: bool


class GraphInput(Record, frozen=True, kw_only=True):
    """A graph input as the file declares it, with what the nodes that read it give away."""

    name: str
    dtype: str  # NumPy's name, "string", or the ONNX type where it is not a tensor
    shape: tuple[int | str | None, ...]
    vocabulary: int | None  # rows of the table that it indexes
    is_state: bool  # initial state of a recurrent operator
    compared_with: tuple[int, ...]  # constants it is tested against, as a sample rate is
    may_set_cost: bool = False  # its value reaches the count of a loop, a length or a shape


class GraphOutput(Record, frozen=True, kw_only=True):
    """A graph output as the file declares it, and the operator that makes it."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]
    producer: str


class Graph(Record, frozen=True, kw_only=True):
    """What an ONNX file holds, subgraphs and local functions included, before anything is run."""

    sha256: str  # of the file and of its external data
    file_bytes: int
    opset: dict[str, int]
    operators: dict[str, int]  # operator type -> nodes; Constant nodes are counted as weights instead
    domains: dict[str, str]  # operator type -> domain
    parameters: int
    weight_bytes: int
    weight_bytes_of: dict[str, int]  # operator type -> bytes of the weights it reads
    weights_sha256: str  # of the values alone, wherever they are stored
    subnormal_weights: int = 0  # too small for a full mantissa: some processors compute with them many times more slowly
    classical_flop: dict[str, float]  # operations per item of each ai.onnx.ml operator that learned something
    einsum_equations: dict[str, str]  # node name -> equation
    inputs: tuple[GraphInput, ...]
    outputs: tuple[GraphOutput, ...]


class OperatorFacts(Record, frozen=True, kw_only=True):
    """What one operator type contributes at batch 1; flop is None where no formula is known for the operator."""

    type: str
    count: Whole
    flop_per_item: NonNegative | None
    activation_bytes_per_item: NonNegative
    weight_bytes: Whole


class Batching(Record, frozen=True, kw_only=True):
    """Whether items can share a call: proved by running the model, or refused with the reason."""

    possible: bool
    reason: str
    multiple: Count = 1  # a call takes multiples of so many items; fewer are filled up with copies of the last
    largest: Count | None = None  # items that a call takes at most; None: no bound was found


class ModelFacts(Record, frozen=True, kw_only=True):
    """The facts of a model file; `at_sequence_length` is None where there is no sequence axis."""

    name: str
    format: Literal["onnx", "checkpoint"]
    sha256: Sha256
    family: Family
    parameters: Whole
    weight_bytes: Whole
    file_bytes: Whole
    opset: dict[str, Whole]
    already_quantized: bool
    inputs: tuple[ModelInput, ...]
    outputs: tuple[ModelOutput, ...]
    batching: Batching
    operators: tuple[OperatorFacts, ...]
    flop_per_item: NonNegative | None
    activation_bytes_per_item: NonNegative | None
    at_sequence_length: Length | None
    kv_bytes_per_token: Whole | None
    notes: tuple[str, ...]
    subnormal_fraction: Fraction = 0.0  # of the weights
    random_operators: tuple[str, ...] = ()  # by which it answers the same question differently each time
