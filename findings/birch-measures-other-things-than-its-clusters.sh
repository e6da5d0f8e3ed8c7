#!/usr/bin/env bash
# One would guess: transform of a clusterer gives the distance to cluster i in column i, as KMeans does, at least where
# there are as many columns as clusters.
# What happens: Birch's columns are its subclusters, which predict then names otherwise. With as many subclusters as
# clusters the shapes agree, and the distance in a record's own column is that to another cluster.
# Why it matters: a distance beside a label reads as that to its cluster; here it may be the largest of all.
. "$(dirname "$0")/lib-packages.sh"
packages scikit-learn==1.9.1 numpy==2.4.6

finding <<'PYTHON'
import numpy as np
from sklearn.cluster import Birch, KMeans

from seen import compare, end

centers = np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
rows = centers[np.arange(80) % 4] + np.random.default_rng(0).normal(scale=0.1, size=(80, 3))


def own_is_nearest(model):
    """Whether the column of each row's label holds its least distance."""
    return bool((model.transform(rows).argmin(axis=1) == model.predict(rows)).all())


means = KMeans(4, n_init=1, random_state=0).fit(rows)
birch = Birch(n_clusters=4, threshold=1.0).fit(rows)
compare("columns of both", (means.transform(rows).shape[1], birch.transform(rows).shape[1]), (4, 4))
compare("KMeans: a row's own cluster is the nearest", own_is_nearest(means), True)
compare("Birch: a row's own cluster is the nearest", own_is_nearest(birch), False)
compare("Birch names its subclusters in order", list(birch.subcluster_labels_) == [0, 1, 2, 3], False)
end()
PYTHON
