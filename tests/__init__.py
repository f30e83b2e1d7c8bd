"""Tests mirror the source; contract tests run over the registries."""
