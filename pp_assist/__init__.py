"""The workstation daemon: finds files, hashes them, and puts them on a `pp_server`."""
