"""Anyone's program, with MLflow, pandas and an alias: BTC-USD.1h.6 high [ROWS.parquet or .csv].

ROWS holds consecutive feature rows, oldest first; without it they are made up from the model's
signature. MLFLOW_TRACKING_URI names the registry.
"""

import sys

import mlflow
import pandas as pd

name, regime, *file = sys.argv[1:]
model = mlflow.pyfunc.load_model(f"models:/{name}@champion-{regime}")
rows = pd.DataFrame(0.0, range(600), model.metadata.signature.inputs.input_names())
if file:
    rows = (pd.read_csv if file[0].endswith(".csv") else pd.read_parquet)(file[0])
prediction = pd.DataFrame(model.predict(rows)).iloc[-1, 0]
print(prediction, "after", len(rows), "given" if file else "made-up", "rows")
