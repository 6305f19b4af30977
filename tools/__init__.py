"""What keeps the project: its distributions, its releases, its documentation. Nothing of it is installed."""
