"""The results: one file of all rows, as Parquet, CSV or JSON lines by its suffix, written shard by shard."""

import json
from collections.abc import Callable, Iterator
from os.path import realpath
from pathlib import Path

from archive.ending import note_written
from archive.plan import Plan
from assessment.score_table import Row
from core.csv_table import write_rows
from core.errors import ConfigError
from core.files import becoming
from core.pictures.unlike import COLUMNS


def require_writable(file: Path) -> None:
    """Refuse a results file that could not be written, before hours of work. Raises ConfigError."""
    if not Path(realpath(file)).parent.is_dir():
        raise ConfigError(f"{file}: {file.parent} is no folder; make it first.")
    writer_of(file)


def writer_of(file: Path) -> Callable[[Plan, Path], None]:
    """Give what writes such a file. Raises ConfigError where the suffix is none of ours, or pyarrow is missing."""
    writers = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}
    if file.suffix not in writers:
        raise ConfigError(f"{file}: its suffix says what to write; name it with {', '.join(writers)}.")
    if file.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ModuleNotFoundError as error:
            raise ConfigError(f"{file}: Parquet needs pyarrow; pip install '.[parquet]', or name it .csv.") from error
    return writers[file.suffix]


def write_results(plan: Plan, file: Path) -> None:
    """Put the rows of all shards, which are there, into `file`: whole or not at all. Raises OSError."""
    with becoming(file) as part:
        writer_of(file)(plan, part)
        note_written(part, plan.folder)


def rows_of_shards(plan: Plan) -> Iterator[list[Row]]:
    """Read the rows shard by shard, in the order of the pictures."""
    for number in range(plan.shards):
        with plan.rows_of(number).open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        # Shards that another version judged, before an interruption, may lack some.
        yield [row | {column: row.get(column, "") for column in COLUMNS} for row in rows]


def _write_jsonl(plan: Plan, part: Path) -> None:
    with part.open("w", encoding="utf-8") as out:
        for rows in rows_of_shards(plan):
            out.writelines(f"{json.dumps(row)}\n" for row in rows)


def _write_csv(plan: Plan, part: Path) -> None:
    with part.open("w", encoding="utf-8", newline="") as out:
        columns = list(next(rows_of_shards(plan))[0])
        write_rows(out, columns, (row.values() for rows in rows_of_shards(plan) for row in rows))


def _write_parquet(plan: Plan, part: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(rows_of_shards(plan))[0]
    words = ("file", "verdict", "reason", *COLUMNS)
    schema = pa.schema([(name, pa.string() if name in words else pa.float64()) for name in first])
    with pq.ParquetWriter(part, schema) as out:
        for rows in rows_of_shards(plan):
            out.write_table(pa.Table.from_pylist(rows, schema))
