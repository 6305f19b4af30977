"""The pure part of the engine: no I/O, no await, no clock, no logging; values in, values out."""
