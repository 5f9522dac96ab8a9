"""Many short texts in one buffer, looked at together: the n-th characters of all of them at once."""

from typing import NamedTuple

import numpy as np

SPACES = b" \t\r"


class Texts(NamedTuple):
    """Texts by where they begin and end in a buffer of bytes; `start` and `end` are (texts,)."""

    content: bytes
    buffer: np.ndarray  # (bytes,) the content as numbers
    start: np.ndarray
    end: np.ndarray

    @property
    def width(self) -> np.ndarray:
        """The bytes of each (texts,)."""
        return np.asarray(self.end - self.start)

    def at(self, place: int | np.ndarray) -> np.ndarray:
        """Return the byte at a place of each (texts,): of one that is shorter, whatever stands behind it."""
        return np.asarray(np.take(self.buffer, self.start + place, mode="clip"))

    def text(self, number: int) -> str:
        """Return one of them."""
        return self.content[int(self.start[number]) : int(self.end[number])].decode()

    def trimmed(self) -> "Texts":
        """Return them without the spaces at either end."""
        start, end = self.start, self.end
        while (blank := _is_space(self.buffer, start) & (start < end)).any():
            start = start + blank
        while (blank := _is_space(self.buffer, end - 1) & (start < end)).any():
            end = end - blank
        return self._replace(start=start, end=end)

    def unquoted(self) -> "Texts":
        """Return what is between quotation marks where a text begins and ends with one."""
        width = self.width
        quoted = (width >= 2) & (self.at(0) == ord('"')) & (self.at(width - 1) == ord('"'))
        return self._replace(start=self.start + quoted, end=self.end - quoted)


def texts_of(content: bytes, start: np.ndarray, end: np.ndarray) -> Texts:
    """Return the texts of a content that begin and end at these places."""
    return Texts(content, np.frombuffer(content, np.uint8), start, end)


def _is_space(buffer: np.ndarray, places: np.ndarray) -> np.ndarray:
    found = np.take(buffer, places, mode="clip")
    return np.asarray((found == SPACES[0]) | (found == SPACES[1]) | (found == SPACES[2]))
