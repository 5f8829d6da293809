"""A folder of pictures to verdicts, in Python. `python folder_to_verdicts.py MODEL FOLDER`. A bundle or checkpoint."""

import sys

from assessment.prediction import predict

for found in predict(sys.argv[1], [sys.argv[2]]):
    print(found.file.name, found.verdict, found.score if found.score is None else round(found.score, 3))
