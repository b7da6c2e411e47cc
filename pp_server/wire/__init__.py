"""The contract both programs agree on. A leaf: it imports the standard library and pydantic, and nothing of ours."""
