"""Adapters of other libraries for the comparison of strategies, one file each."""
