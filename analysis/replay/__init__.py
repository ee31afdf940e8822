"""Nights at moments of the past, one after the other, and what following them came to."""
