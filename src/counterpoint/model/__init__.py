"""The harmonic model: mathematics only; no ranks, no logging, no files.

    harmonic.HarmonicModel   the network: `loss` for training, `sense` and `sample` for acting
    config.HarmonicConfig    its shape; `sizes.ladder` derives one from a number of parameters
    tensors.to_tensors       a `core.Batch` as torch tensors
    sizes.flops_per_batch    the cost of a training pass

One transformer over two streams (see `harmonic`). It reads a `core.Batch`; `data` makes batches,
`train` updates the weights and `policy` stores them.
"""

from typing import TYPE_CHECKING

from counterpoint.core.exports import lazy_exports

if TYPE_CHECKING:
    from counterpoint.model.config import HarmonicConfig
    from counterpoint.model.harmonic import HarmonicModel
    from counterpoint.model.sizes import ladder
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "counterpoint.model.config": ("HarmonicConfig",),
            "counterpoint.model.harmonic": ("HarmonicModel",),
            "counterpoint.model.sizes": ("ladder",),
        },
    )

__all__ = ["HarmonicConfig", "HarmonicModel", "ladder"]
