"""Trained models as they are used: loaded, called, asked step by step."""
