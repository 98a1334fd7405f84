# %% leaky
leaky = cross_val_score(SVC(), best, y, cv=by_voice).mean()
# %% accuracy_7
of_seven = []
for train, test in ((fold.train, fold.test) for fold in folds):
    own = train[seven[train]], test[seven[test]]
    machine.fit(X[own[0]], y[own[0]])
    of_seven.append(machine.score(X[own[1]], y[own[1]]))
accuracy_7 = np.mean(of_seven)
# %% few
of_few = []
for train, test in ((fold.train, fold.test) for fold in folds):
    four = np.unique(speakers[train])[:4]
    own = train[np.isin(speakers[train], four)]
    fitted = classical.svm_classic().fit(X[own], y[own])
    of_few.append(fitted.score(X[test], y[test]))
few = np.mean(of_few)
