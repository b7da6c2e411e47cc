"""Pure rules of the server: no asyncio, SQL, HTTP, clock or disk."""
