"""Studies: plan, power, the runs themselves, and predictions written before the held-out runs."""
