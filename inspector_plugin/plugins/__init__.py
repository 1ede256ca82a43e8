"""Plugins: the hook, the options that backends declare, and finding and making judges."""
