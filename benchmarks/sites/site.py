"""Sites at work: throughput of one site on a good link, and the soak test of many sites on a bad one.

python benchmarks/sites/site.py --sites 50            about two minutes; exit code 1 where anything was lost or is twice
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from site_chaos import Weather
from site_soak import SoakConfig, soak


def main(arguments: list[str]) -> int:
    """Print both; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, default=50)
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--kills", type=int, default=15, help="SIGKILLs, a third of them to the receiver")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    calm = SoakConfig(
        sites=1, hosts=1, episodes=20, seconds=60.0, host_kills=0, receiver_kills=0, weather=Weather(), seed=chosen.seed
    )
    rough = SoakConfig(
        sites=chosen.sites,
        episodes=chosen.episodes,
        receiver_kills=chosen.kills // 3,
        host_kills=chosen.kills - chosen.kills // 3,
        seed=chosen.seed,
        timeout_s=600.0,
    )
    passed = True
    for name, config in (("one site, good link", calm), (f"{chosen.sites} sites, bad links, power cuts", rough)):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.process_time()
            report = soak(Path(folder), config)
            print(f"{name}\n{report.to_text()}\n{'driver_cpu_s':20} {time.process_time() - begun:.1f}\n", flush=True)
            passed &= report.is_clean
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
