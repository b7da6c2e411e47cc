-- How a server's certificate is trusted, where the public authorities are not what decides. At most one of the two.

ALTER TABLE servers ADD COLUMN fingerprint TEXT          -- SHA-256 of the one certificate it may show, in lower-case hex
    CHECK (length(fingerprint) = 64);
ALTER TABLE servers ADD COLUMN ca_file TEXT              -- PEM file with the authorities that may vouch for it
    CHECK (ca_file IS NULL OR fingerprint IS NULL);
