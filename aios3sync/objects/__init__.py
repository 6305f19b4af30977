"""Operations on single objects: read, write, copy, list and verify; no manifest, no comparison."""
