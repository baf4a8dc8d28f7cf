"""One ingest, from folders of logs to committed episodes.

find_logs    which logs are in a folder
run          the process that hands out the work; `ingest` is its entry
worker       what each process does: open a log, or read one item and commit it
ledger       which content the store has, so that nothing is added twice
quarantine   the list of what could not be read
"""
