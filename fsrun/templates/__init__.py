"""Files that `fsrun new` writes."""
