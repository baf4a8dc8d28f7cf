"""Where episodes come from, which of them a run sees, and which ranges of them are marked to be left out."""
