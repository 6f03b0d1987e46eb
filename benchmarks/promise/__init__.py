"""The programs that users of today's tools suffer with: what their gradients cost, as they grow."""
