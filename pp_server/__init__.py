"""The upload server. This file imports nothing: `pp_assist` loads the package for its `wire` leaf."""
