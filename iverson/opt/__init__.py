"""The optimiser: core to core, one file a pass."""
