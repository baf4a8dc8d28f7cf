"""Files that strangers wrote: paths that stay inside the log, Parquet and its columns, JSON."""
