"""What every training shares: settings by key, and the watching of its figures."""
