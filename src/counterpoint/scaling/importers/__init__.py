"""Run tables from elsewhere: CSV and Parquet, MLflow, TensorBoard, Weights & Biases."""
