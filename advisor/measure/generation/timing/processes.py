"""The processes of a decoder's variants: one each, opened when it is first asked; all at once only where memory holds them."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from advisor.measure.generation import variant_process
from advisor.measure.generation.openvino import profiling as openvino_process
from advisor.measure.generation.step_timing import Step
from advisor.measure.generation.text_quality import Scored
from advisor.measure.generation.tokenizing import Windows
from advisor.measure.generation.variant_process import Setting, Timed
from advisor.measure.runtime import memory
from advisor.measure.timing.ledger import Ledger
from advisor.measure.worker.apart import Apart, Limit
from advisor.schema.generation import DecoderFacts, Engine

# Far beyond any step worth serving at, and any file worth loading.
HANG_S, LOADING_S = 300.0, 1200.0
# A session has the weights as they are stored, and as its products are packed; what calls take comes to it.
COPIES_OF_WEIGHTS = 2.0
MEMORY_SHARE = 0.8  # of what is free, that all variants together may take

P = ParamSpec("P")
T = TypeVar("T")


class Process(NamedTuple):
    """What is asked of the process of a variant, by its engine: functions of its folder and setting, and of what follows these."""

    opened: Callable[[Path, Setting], float]
    compared: Callable[..., float]
    scored: Callable[[Path, Setting, Windows, float], Scored]
    visited: Callable[[Path, Setting, Step, float, int, int], Timed]
    cache_tokens: Callable[[Setting], int]  # that the cache holds: not asked there, but before it is opened


PROCESSES: dict[Engine, Process] = {
    "onnxruntime": Process(
        variant_process.opened,
        variant_process.compared,
        variant_process.scored,
        variant_process.visited,
        variant_process.cache_tokens,
    ),
    "openvino": Process(
        openvino_process.opened,
        openvino_process.compared,
        openvino_process.scored,
        openvino_process.visited,
        openvino_process.cache_tokens,
    ),
}


class Variants:
    """Asks the process of each variant. Use as a context manager: no process outlives it."""

    def __init__(
        self,
        folders: Mapping[str, Path],
        ledger: Ledger,
        *,
        slots: int,
        max_tokens: int,
        threads: tuple[int, ...],
        input_fraction: float | None = None,
        start: Callable[[], Apart] = Apart,
        engines: Mapping[str, Engine] | None = None,
        free_bytes: Callable[[], int | None] = memory.available_bytes,
    ) -> None:
        """`folders` are of the variants by their names; `threads` are those on which each is going to be opened.

        `engines` are of those that ONNX Runtime does not run; `input_fraction` is the part of timed contexts that an encoder gave.
        """
        self._folders, self._ledger, self._start = folders, ledger, start
        self._engines = engines or {}
        self._free_bytes = free_bytes()  # before any of them is open
        self._slots, self._max_tokens, self._threads, self._input_fraction = slots, max_tokens, threads, input_fraction
        self._stack = contextlib.ExitStack()
        self._apart: dict[str, Apart] = {}
        self._opened: set[tuple[str, int]] = set()
        self.load_s: dict[str, float] = {}
        self.are_together = True

    def __enter__(self) -> "Variants":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fit_together(self, facts: DecoderFacts, settings: Iterable[tuple[str, int]] | None = None) -> bool:
        """Return whether all of them can be open at once, on so many threads each; the processes of others are closed.

        Where they cannot, one is closed before another is opened. Without `settings` every variant is to be opened on all threads.
        """
        if settings is None:
            settings = [(name, threads) for name in self._folders for threads in self._threads]
        wanted = set(settings)
        for name in {name for name, _ in self._opened - wanted}:
            self._close(name)
        needed = sum(self._bytes(facts, name, threads) for name, threads in wanted)
        self.are_together = self._free_bytes is None or needed <= MEMORY_SHARE * self._free_bytes
        return self.are_together

    def process(self, name: str) -> Process:
        """Return what can be asked of a variant."""
        return PROCESSES[self._engines.get(name, "onnxruntime")]

    def _bytes(self, facts: DecoderFacts, name: str, threads: int) -> float:
        """Return the memory of a variant on so many threads."""
        cached = self.process(name).cache_tokens(self.setting(threads))
        return COPIES_OF_WEIGHTS * _size(self._folders[name]) + cached * facts.kv_bytes_per_token

    def setting(self, threads: int) -> Setting:
        """Return how a variant is opened on so many threads."""
        return Setting(
            intra_op_num_threads=threads, slots=self._slots, max_tokens=self._max_tokens, input_fraction=self._input_fraction
        )

    def ask(
        self,
        name: str,
        threads: int,
        what: str,
        function: Callable[Concatenate[Path, Setting, P], T],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Return what a function of the variant's folder and setting returns in its process; `what` says what it begins.

        Loading counts as such. Raises ModelError where the process dies, hangs or takes more memory than is free: the next call finds
        another.
        """
        self._open(name, threads)
        try:
            limit = Limit(name, what, HANG_S, HANG_S)
            return self._apart[name].call(limit, function, self._folders[name], self.setting(threads), *arguments, **named)
        except BaseException:
            self._close(name)
            raise

    def _open(self, name: str, threads: int) -> None:
        if (name, threads) in self._opened:
            return
        if not self.are_together:
            for other in {other for other, _ in self._opened} - {name}:
                self._close(other)
        with self._ledger.loading():
            if name not in self._apart:
                self._apart[name] = self._stack.enter_context(self._start())
            limit = Limit(name, "loading it", LOADING_S, LOADING_S)
            load_s = self._apart[name].call(limit, self.process(name).opened, self._folders[name], self.setting(threads))
        self._opened.add((name, threads))
        self.load_s.setdefault(name, load_s)

    def _close(self, name: str) -> None:
        if name in self._apart:
            self._apart[name].end()
        self._opened = {(other, threads) for other, threads in self._opened if other != name}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
