"""Reports: figures, tables and one self-contained HTML file, made from artefacts on disk alone.

Numbers are computed elsewhere (`evaluate`, `scaling`, `train`) and read here from their records.
"""

from counterpoint.report.page import write_report

__all__ = ["write_report"]
