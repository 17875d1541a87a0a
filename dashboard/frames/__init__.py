"""Frames: what pages show, as tables made of a run, without a widget among them."""
