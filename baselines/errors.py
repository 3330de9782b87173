"""What can go wrong with a training that is not a fault of the program."""

from __future__ import annotations


class TrainingError(Exception):
    """Raised for an unknown method, a world that it cannot run in, or a folder that is taken.

    One line: the rule, the value received, the next step. ``exit_code`` is what the command line ends with.
    """

    exit_code = 2


class WorkerError(TrainingError):
    """Raised when a worker process ended before its seed was trained. Finished seeds are kept."""

    exit_code = 1
