# %% n_weights
n_weights = 3 * 3 * 48 * 96
# %% illusion
illusion = 100 * (luck.max(axis=1).mean() - 0.6)
# %% patience
patience = next(p for p in range(1, 101) if stop(log["test_loss"], p)[1] == 100)
