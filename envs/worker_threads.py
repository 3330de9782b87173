"""One thread a worker process for numerical libraries: workers share the cores among them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Processes started meanwhile keep to one thread: the libraries read these names once, when they are imported."""
    before = {name: os.environ.get(name) for name in _LIMITS}
    os.environ.update(dict.fromkeys(_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
