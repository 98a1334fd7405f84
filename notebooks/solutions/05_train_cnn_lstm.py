# %% n_weights
n_weights = 3 * 3 * 96 * 192
# %% illusion
illusion = 100 * (luck.max(axis=1).mean() - 0.6)
# %% p_value
p_value = np.mean(np.abs(signs @ by_speaker) >= abs(by_speaker.sum()))
