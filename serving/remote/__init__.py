"""The registry and its files over HTTP, by the standard library alone."""
