-- What a person wrote that leaves files out: patterns of a root, and for each excluded file the line that says so.

ALTER TABLE roots ADD COLUMN exclude TEXT NOT NULL DEFAULT '[]';  -- patterns, as a JSON list

ALTER TABLE files ADD COLUMN rule_pattern TEXT;   -- NULL: not excluded, or by a rule of our own (`reason` names it)
ALTER TABLE files ADD COLUMN rule_source TEXT;    -- setting, root, or the absolute path of a .ppignore
ALTER TABLE files ADD COLUMN rule_line INTEGER;
