"""Forward and reverse mode, as core to core transforms."""
