# %% third
third = softmax(np.array([0, 0, np.log(2)]))[2]
# %% n_weights
n_weights = (200 + 1) * 64 + (64 + 1) * 32 + (32 + 1) * 8
# %% epochs_16
_, narrow = train_network(
    wide[train], y[train], wide[check], y[check], units=16, epochs=60, rate=0.02
)
epochs_16 = narrow[:, 1].argmin() + 1
