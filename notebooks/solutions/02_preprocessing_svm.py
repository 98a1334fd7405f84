# %% n_frames
n_frames = 1 + (3 * sr - length) // hop
# %% of_statement
of_statement = np.nanmedian(eta_squared(X, statement))
# %% left
slope, intercept = np.polyfit(loudness, X, 1)
rest = X - (np.outer(loudness, slope) + intercept)
left = np.nanmax(eta_squared(rest[:, std > 0], emotion))
