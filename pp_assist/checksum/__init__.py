"""The second stage: reads files that are at rest and records their digests."""
