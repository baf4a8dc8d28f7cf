"""The whole pipeline on one machine in ten minutes: collect, ingest, train, evaluate, fit a law, report.

The other packages do the work; this one calls them in order.
"""

from counterpoint.demo.config import DemoConfig
from counterpoint.demo.pipeline import DemoResult, run_demo

__all__ = ["DemoConfig", "DemoResult", "run_demo"]
