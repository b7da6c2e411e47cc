"""What the daemon decides, as pure functions over values: no clock, disk, network or database in here."""
