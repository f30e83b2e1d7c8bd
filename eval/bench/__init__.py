"""Speed, measured side by side in one run: `arr-coc bench`."""
