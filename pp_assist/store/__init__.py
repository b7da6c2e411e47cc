"""The daemon's memory, and the only place that speaks SQL: what was observed, and what is still to do."""
