"""Statistics of a bucket or a prefix, kept in the bucket itself; they list and ask, and change no object."""
