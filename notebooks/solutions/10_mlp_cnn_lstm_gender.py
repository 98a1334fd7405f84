# %% n_conv
n_conv = 32 * (5 * 1 + 1)
# %% n_errors
gap = scores["cnn", "in order"].mean() - scores["cnn", "shuffled"].mean()
n_errors = gap / np.sqrt((scores["cnn"].var() / 3).sum())
# %% among_right
rightly = said["gender"].argmax(1) == female[fold.test]
among_right = (said["emotion"].argmax(1) == codes[fold.test])[rightly].mean()
