"""Many sites, bad links, power cuts at both ends: nothing lost, nothing twice. In full: benchmarks/sites/site.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_chaos import Weather
from site_soak import SoakConfig, soak

ROUGH = Weather(bytes_until_cut=4e5, corrupt_chance=0.02, stall_chance=0.02, stall_s=0.3)


def test_soak_short(tmp_path: Path) -> None:
    config = SoakConfig(
        sites=4, hosts=2, episodes=2, seconds=3.0, host_kills=1, receiver_kills=1, weather=ROUGH, timeout_s=400.0
    )
    report = soak(tmp_path, config)
    print(report.to_text())  # noqa: T201  # shown by pytest -s
    assert report.problems == []
    assert report.is_clean, report.to_text()


@pytest.mark.slow
def test_soak_long(tmp_path: Path) -> None:
    config = SoakConfig(
        sites=50, hosts=5, episodes=2, seconds=4.0, host_kills=8, receiver_kills=4, weather=ROUGH, timeout_s=500.0
    )
    report = soak(tmp_path, config)
    print(report.to_text())  # noqa: T201  # shown by pytest -s
    assert report.problems == []
    assert report.is_clean, report.to_text()
    assert report.host_kills + report.receiver_kills >= 3
