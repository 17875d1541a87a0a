"""Engines: what runs the trials that a search hands out."""
