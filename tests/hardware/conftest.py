"""What every test of the hardware layer shares: those with real devices, graphs and processes are slow, and run alone.

They measure time: on one worker of pytest-xdist after the other, none of them disturbs another (``--dist loadgroup``).
"""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
REAL_DEVICES = frozenset(
    {"test_inputs", "test_input_reader", "test_input_kinds", "test_relay", "test_framed_serial", "test_channel"}
)


THE_STOP = frozenset({"test_faults", "test_out_of_reach", "test_preflight", "test_supervisor_process"})
"""What they count must be so every time."""


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in a hook of the same name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put every such test into one group and mark it slow. Benches live by the wall clock, but for the stop's own."""
    for item in items:
        here = HERE in item.path.parents
        if item.get_closest_marker("ros") or (here and item.path.stem in REAL_DEVICES):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("bench"))
            if item.path.stem not in REAL_DEVICES | THE_STOP:
                item.add_marker(pytest.mark.wall_clock)
