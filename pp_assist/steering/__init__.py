"""What holds work back although it could be done: a person's pause, and how fast may be sent."""
