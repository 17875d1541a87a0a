"""A run as one document for people: what was found, against what, how sure, and how it was done."""
