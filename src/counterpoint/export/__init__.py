"""From a store to other formats: LeRobot v2.1 and v3.0, MCAP, RLDS.

    Store --choose--> Selection --align--> Rows (one clock) --> LeRobot, RLDS
                         `---- every stream on its own clock ---> MCAP

Reading these formats is left to `ingest`.
"""

from counterpoint.export.run import FORMATS, ExportFormat, ExportReport, export_store

__all__ = ["FORMATS", "ExportFormat", "ExportReport", "export_store"]
