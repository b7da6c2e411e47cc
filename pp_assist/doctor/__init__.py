"""Is everything here as it must be? Looks, and a rehearsal with files of its own."""
