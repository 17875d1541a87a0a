"""Search problems made by others, and some made to resemble them."""
