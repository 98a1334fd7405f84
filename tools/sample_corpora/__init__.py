"""Parts of `make_sample_corpora.py`: who speaks, how, and how that becomes sound."""
