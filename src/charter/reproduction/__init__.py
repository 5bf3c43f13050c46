"""The paper's figures made again (Bai et al. 2022, arXiv 2212.08073), from runs of a recipe and from models asked.

```
names ─ what figures are called, and which files they read
figures ─ which there are
├─ questions    4, 9, 12, chains        options that models choose
├─ revisions    5, 6, 7                 traces of trials, scored
├─ meetings     2, 3, 8, 10             models of the main run, and on the way there
└─ labels       soft-labels, clamp      preference models on labels of the same pairs
figure, claims ─ values, points, and what the paper found held against them
desk, scoring ─ what figures are made with
drawing, papers ─ what they leave behind
```
"""
