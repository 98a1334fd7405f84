# %% disagree
disagree = np.mean(said["svm"] != said["cnn-lstm"])
# %% arithmetic
mean = sum(table[columns].to_numpy() for table in tables.values()) / 2
arithmetic = np.mean(mean.argmax(axis=1) == truth)
# %% three
total = sum(logs.values()) + np.log(third[columns].clip(1e-6).to_numpy())
three = np.mean(total.argmax(axis=1) == truth)
