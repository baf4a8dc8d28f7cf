"""The page of a store's quality."""
