"""The front end: Python source to core."""
