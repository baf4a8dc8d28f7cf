"""What pretraining is worth: transfer ratios and laws."""
