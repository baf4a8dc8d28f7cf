"""Files of logs: safe paths, tables, the ledger of what was read, quarantine."""
