"""The local REST API: everything a command, a script or a page asks of the daemon."""
