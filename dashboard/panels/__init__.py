"""Panels: parts of pages with widgets of their own."""
