"""GUIDER's three parts: calibration of interactions, denoised BPR and distillation."""
