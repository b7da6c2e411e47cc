"""Facts: owners, keys, hosts, sessions, file versions."""
