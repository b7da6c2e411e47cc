"""What the connections of a port may do: how many there are, and how slow each may be. For both programs."""
