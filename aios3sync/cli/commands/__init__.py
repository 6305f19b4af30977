"""The commands, one module each; none is imported before it is named."""
