# %% unscaled
model = KNeighborsClassifier(9)
unscaled = cross_val_score(model, X[train], y[train], groups=speakers[train], cv=inner).mean()
# %% flattered
ten = tries.iloc[:10]
flattered = 100 * (ten["test"].max() - ten.loc[ten["inner"].idxmax(), "test"])
# %% only_mfcc
M = X[:, [name.startswith("mfcc") for name in names]]
by_voice = [(each.train, each.test) for each in folds]
only_mfcc = cross_val_score(zoo["logistic"], M, y, cv=by_voice).mean()
