# %% most_honest
most_honest = str(names[np.nanargmax(of_emotion / of_speaker)])
# %% mean_only
mean_only = on_new_voices((X - own.transform("mean")).to_numpy()).mean()
# %% by_gender
right = np.zeros(len(y), dtype=bool)
for fold in folds:
    means = pd.DataFrame(X[fold.train]).groupby(gender[fold.train]).mean()
    centred = X - means.loc[gender].to_numpy()
    machine = classical.svm_classic().fit(centred[fold.train], y[fold.train])
    right[fold.test] = machine.predict(centred[fold.test]) == y[fold.test]
by_gender = right.mean()
