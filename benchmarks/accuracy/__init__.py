"""How well the detector learns in minutes, from scratch, beside what others make of the same data."""
