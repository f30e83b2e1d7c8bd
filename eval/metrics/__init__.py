"""How an answer is judged: one idea a file, nothing but text and numbers."""
