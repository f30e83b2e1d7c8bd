"""Worlds to show an agent in: they keep their own state, and say what to believe of them at first."""
