-- The number a file system keeps for itself: its device number may be another one after the next start of the machine.

ALTER TABLE roots ADD COLUMN file_system INTEGER;  -- NULL: not known yet, or it tells none
