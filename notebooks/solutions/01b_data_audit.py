# %% strong
strong = np.mean(ravdess["intensity"] == "strong")
# %% half
X3, y3 = np.concatenate([X, X[::2]]), np.concatenate([y, y[::2]])
half = cross_val_score(machine, X3, y3, cv=ten).mean()
# %% counted
scan = corpora.scan(folder, corpus="ravdess")
counted = [len(scan.clips), len(scan.rejects), scan.clips["group"].nunique()]
