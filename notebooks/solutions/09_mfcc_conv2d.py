# %% of_eight
of_eight = 7 / 8
# %% n_padded
n_padded = (39 // 4 * 216 * 8 + 1) * 64
# %% both_right
rightly = []
for name in ("mfcc-net", "mfcc-svm"):
    told = pd.read_csv(files.home() / f"data/results/ravdess-{name}/predictions.csv.gz")
    told = told[told["protocol"] == "speaker"].sort_values("clip_id", ignore_index=True)
    rightly.append(told.filter(regex="^p_").idxmax(axis=1).str[2:] == told["truth"])
both_right = (rightly[0] & rightly[1]).mean()
