"""From a name, a path or arrays to checked parts and batches."""
