"""Which precision matrices are multiplied in: what a configuration asks for and a processor can do."""

from __future__ import annotations

from typing import Literal

import torch

MatmulPrecision = Literal["float32", "bfloat16", "auto"]
"""`auto` is bfloat16 where the processor multiplies it natively, and float32 elsewhere."""


def uses_bfloat16(wanted: MatmulPrecision, device: torch.device) -> bool:
    """Return whether matrices on `device` are multiplied in bfloat16."""
    if wanted != "auto":
        return wanted == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
