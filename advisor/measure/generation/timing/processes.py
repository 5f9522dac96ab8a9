"""The processes of a decoder's variants: one each, opened when it is first asked; all at once only where memory holds them."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from advisor.measure.generation.variant_process import Setting, opened
from advisor.measure.runtime import memory
from advisor.measure.timing.ledger import Ledger
from advisor.measure.worker.apart import Apart, Limit
from advisor.schema.generation import DecoderFacts

# Far beyond any step worth serving at, and any file worth loading.
HANG_S, LOADING_S = 300.0, 1200.0
# A session has the weights as they are stored, and as its products are packed; what calls take comes to it.
COPIES_OF_WEIGHTS = 2.0
MEMORY_SHARE = 0.8  # of what is free, that all variants together may take

P = ParamSpec("P")
T = TypeVar("T")


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
    ) -> None:
        """`folders` are of the variants by their names; `threads` are those on which each is going to be opened.

        `input_fraction` is the part of timed contexts that an encoder gave.
        """
        self._folders, self._ledger, self._start = folders, ledger, start
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

    def fit_together(self, facts: DecoderFacts) -> bool:
        """Return whether all of them can be open at once; where they cannot, one is closed before another is opened."""
        free_bytes = memory.available_bytes()
        cache_bytes = self._slots * self._max_tokens * facts.kv_bytes_per_token
        needed = sum(len(self._threads) * (COPIES_OF_WEIGHTS * _bytes(folder) + cache_bytes) for folder in self._folders.values())
        self.are_together = free_bytes is None or needed <= MEMORY_SHARE * free_bytes
        return self.are_together

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
            load_s = self._apart[name].call(limit, opened, self._folders[name], self.setting(threads))
        self._opened.add((name, threads))
        self.load_s.setdefault(name, load_s)

    def _close(self, name: str) -> None:
        if name in self._apart:
            self._apart[name].end()
        self._opened = {(other, threads) for other, threads in self._opened if other != name}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
