"""Entry points: one verb per file, each thin over the rooms below."""
