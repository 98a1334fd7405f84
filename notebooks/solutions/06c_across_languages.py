# %% easiest
told = abroad.query("heard == 'Greek' and model == 'speech encoder' and way == 'as it comes'")
easiest = told.groupby("speaker")["right"].mean().idxmax()
# %% svm_drift
svm_drift = too_much(shares("English", "as it comes", "SVM"))
# %% same_mistake
told = abroad.query("heard == 'Greek' and way == 'as it comes'")
told = told.pivot(index=["clip_id", "truth"], columns="model", values="answer").reset_index()
agree = told["SVM"] == told["speech encoder"]
same_mistake = (agree & (told["SVM"] != told["truth"])).mean()
