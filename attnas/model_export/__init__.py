"""Model export: a chosen design as files that run without attnas, with proof."""
