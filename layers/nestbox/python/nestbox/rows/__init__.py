"""Writes to the tables: each one conditional write that translates a lost race to LostRaceError."""
