"""Where an organism is trained: the processor, or an NVIDIA GPU through CUDA.

Weights are drawn on the processor, so a training begins with the same ones on either. CAVEAT: sums on a GPU differ in
their last digits, there also from run to run, so the finished weights are not the same.
"""

from __future__ import annotations

import torch

from redbutton.organisms.errors import OrganismError


def device_of(name: str) -> torch.device:
    """``cpu``, ``cuda``, or by ``auto`` the second where there is one. Raises ``OrganismError`` where it is missing."""
    here = torch.cuda.is_available()
    if name == "cuda" and not here:
        raise OrganismError(
            f"training on cuda needs a GPU that PyTorch can use. Received none with PyTorch {torch.__version__}. "
            "Take --device cpu, or install a PyTorch built for the GPU's driver."
        )
    if name not in ("auto", "cpu", "cuda"):
        raise OrganismError(f"a device is auto, cpu or cuda. Received {name!r}. Take one of these.")
    return torch.device("cuda" if here and name != "cpu" else "cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether 16-bit brain floats are faster there: elsewhere PyTorch emulates them, slowly."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.backends.cpu.get_cpu_capability().startswith("AVX512"))


__all__ = ["device_of", "has_bfloat16"]
