"""Plans: what a run would do, kept in a file, looked at by a person, and carried out as it was decided."""
