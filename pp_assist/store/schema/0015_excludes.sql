-- What a person wants left out in every watched folder: patterns as in a .gitignore, besides those in the settings.
CREATE TABLE excludes (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again: what was shown under one must not become another
    pattern       TEXT    NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL
) STRICT;
