"""Runs with all their curves as files that other programs read."""
