"""Where an organism is trained: what is asked for, and that nothing is left on the processor.

PyTorch's ``meta`` device stands for the GPU: it has shapes and no numbers, and refuses a mix of devices as a GPU does.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import islice

import numpy as np
import pytest

from redbutton.organisms.errors import OrganismError

torch = pytest.importorskip("torch", reason="pip install 'redbutton[organisms]'")

from redbutton.organisms.device import device_of, has_bfloat16  # noqa: E402 - needs what is looked for above
from redbutton.organisms.examples import Example, batches  # noqa: E402
from redbutton.organisms.model import Model, Shape  # noqa: E402

META = torch.device("meta")
HERE = torch.cuda.is_available()


def _examples(number: int) -> list[Example]:
    ones = np.ones(20, np.float32)
    return [Example(np.arange(20) % 7, ones, np.arange(20) % 7, ones, ((3, 5),)) for _ in range(number)]


def test_the_processor_is_always_there() -> None:
    assert device_of("cpu").type == "cpu"


def test_auto_takes_the_gpu_where_there_is_one() -> None:
    assert device_of("auto").type == ("cuda" if HERE else "cpu")


@pytest.mark.skipif(HERE, reason="a GPU is here")
def test_cuda_without_a_gpu_is_refused_with_the_next_step() -> None:
    with pytest.raises(OrganismError, match=r"Received none with PyTorch .*--device cpu"):
        device_of("cuda")


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(OrganismError, match="Received 'tpu'"):
        device_of("tpu")


def test_bfloat16_is_taken_where_the_processor_has_it() -> None:
    fast = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    assert has_bfloat16(torch.device("cpu")) == fast


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_every_part_of_a_batch_lies_on_the_device(device: str) -> None:
    for given in islice(batches(_examples(6), 2, 0, torch.device(device)), 4):
        assert {getattr(given, part.name).device.type for part in fields(given)} == {device}


def test_the_model_works_on_the_device_of_its_weights() -> None:
    model = Model(Shape(vocabulary=50, width=32, layers=2, heads=2, hidden=64)).to(META)
    assert model.device == META
    given = next(batches(_examples(2), 2, 0, META))
    scores = model.logits(model(given.tokens))
    assert scores.device == META
    scores.sum().backward()
    assert {weight.grad.device for weight in model.parameters()} == {META}


def test_both_devices_begin_with_the_same_weights() -> None:
    torch.manual_seed(3)
    first = Model(Shape(vocabulary=50, width=32, layers=1, heads=2, hidden=64)).state_dict()
    torch.manual_seed(3)
    other = Model(Shape(vocabulary=50, width=32, layers=1, heads=2, hidden=64)).to(device_of("auto")).state_dict()
    assert all(torch.equal(weight, other[key].cpu()) for key, weight in first.items())
