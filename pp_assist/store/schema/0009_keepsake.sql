-- A copy of what a person told the daemon lies beside the database; see pp_assist/store/keepsake.py.

INSERT INTO daemon_state (name, value) VALUES
    ('settings', 0);  -- grows with each change of `servers`, `roots` and what is trusted
