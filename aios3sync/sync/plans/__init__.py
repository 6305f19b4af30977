"""Plans: the actions of a run, saved to a file, reviewed by a person, and carried out exactly as planned."""
