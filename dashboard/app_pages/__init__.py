"""The pages: each describes its UI; what it shows is computed and drawn elsewhere."""
