"""One process for all tests that make files: each would wait for its imports otherwise."""

from advisor.measure.worker.apart import Apart

SHARED = Apart()
