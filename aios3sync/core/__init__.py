"""The pure part: no I/O, no await, no clock, no logging; values in, values out."""
