"""Collecting from exchanges: what is missing, fetched and stored, or on record as a gap."""
