"""Sizes and thumbnails of images: a subscriber of the sync, no part of the index."""
