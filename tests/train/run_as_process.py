"""One process of a data-parallel run, started by `test_distributed`; arguments: run folder."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from counterpoint.data.episodes.synthetic import synthetic_source
from counterpoint.train.recipes import tiny
from counterpoint.train.trainer import train

if __name__ == "__main__":
    torch.set_num_threads(1)
    config = replace(tiny(), out=Path(sys.argv[1]), steps=6, num_microbatches=2, device="cpu")
    train(config, sources=(synthetic_source(6, 4, 0), synthetic_source(6, 7, 1)), progress=False)
