"""Getting files back from a server into a folder."""
