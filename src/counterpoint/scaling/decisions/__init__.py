"""Decisions from a fitted law: forecast, allocation, marginal value, data needed."""
