"""recbole_guider: one benchmark suite of denoising multi-modal recommenders on RecBole."""
