# %% standard_error
standard_error = 100 * np.sqrt(0.558 * (1 - 0.558) / 269)
# %% smoothed_end
smoothed_end = stop(theirs["test_loss"].rolling(10).mean().dropna(), patience=10)[1]
# %% patience
patience = next(p for p in range(1, 101) if stop(theirs["test_loss"], p)[1] == 100)
