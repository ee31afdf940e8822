"""Exchanges that market data is collected from."""
