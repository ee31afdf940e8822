"""Measurements of this house beside the usual way: ``python -m benchmarks NAME``."""
