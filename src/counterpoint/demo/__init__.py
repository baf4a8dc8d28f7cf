"""The whole way on one machine in ten minutes: collect, ingest, train, judge, fit a law, report.

Everything it does is done by the other packages; this one only puts them in order.
"""

from counterpoint.demo.config import DemoConfig
from counterpoint.demo.pipeline import DemoResult, run_demo

__all__ = ["DemoConfig", "DemoResult", "run_demo"]
