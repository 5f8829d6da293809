"""`export-engine`."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from core import cli
from core.errors import ConfigError
from runtime.batching.settings import LARGEST_BATCH, USUAL_BATCH
from runtime.bundles.precision import Precision
from runtime.inference.settings import Kind

HELP = (
    "Export a checkpoint into a bundle for the edge, and prove that it judges real pictures as PyTorch does.\n\n"
    "A bundle whose verdicts differ is refused (exit code 5) and kept as OUTPUT.refused."
)
ADD_HELP = (
    "Build TensorRT engines into an existing bundle. Needs no torch: `--target here` is meant for the edge box.\n\n"
    "A signature is removed; sign the bundle again."
)
VERIFY_HELP = (
    "Let this machine's backend judge pictures, and compare: with what the trained model said of them when it was "
    "exported, else with ONNX Runtime on the CPU.\n\nExit code 5 where a verdict differs. Needs no torch."
)

_export = cli.app(HELP)

_Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle folder.")]
_MaxBatch = Annotated[
    int,
    typer.Option(
        min=1, max=LARGEST_BATCH, help="Largest batch an engine takes, and so the largest batching.max_batch."
    ),
]
_Target = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TARGET",
        help="Build an engine: sm89 (an RTX GPU's compute capability, built ahead with TensorRT for RTX, on any "
        "machine), or here (this machine's GPU, with TensorRT). May be given several times.",
    ),
]


@_export.command(help=HELP)
def build(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint written by train-model.")],
    output: Annotated[Path, typer.Option(help="Bundle folder to write; an older bundle there is replaced.")],
    precision: Annotated[
        Precision,
        typer.Option(
            help="fp16: for a GPU. int8: as many convolutions as leave every verdict as it is; takes minutes."
        ),
    ] = "fp32",
    target: _Target = None,
    max_batch: _MaxBatch = USUAL_BATCH,
    parity_data: Annotated[
        str | None, typer.Option(help="Pictures to prove parity on; default: the data the checkpoint was trained on.")
    ] = None,
    allow_flips: Annotated[
        int, typer.Option(min=0, help="How many pictures may change their verdict in a lower precision; in fp32 none.")
    ] = 0,
) -> None:
    """Export, prove, build engines."""
    from export.build import ExportRequest, build_bundle
    from export.parity import parity_table
    from export.summary import wide_console

    targets = tuple(target or ())
    bundle = build_bundle(ExportRequest(checkpoint, output, precision, targets, max_batch, parity_data, allow_flips))
    wide_console().print(parity_table(bundle.manifest.parity))
    megabytes = bundle.model.stat().st_size / 1e6
    typer.echo(f"bundle: {output} (model.onnx {megabytes:.0f} MB, sha256 {bundle.manifest.model_sha256[:12]})")
    for engine in bundle.manifest.engines:
        typer.echo(f"engine: {engine.file} ({engine.api} {engine.version}, batches of 1 to {engine.batches[2]})")
    typer.echo("next: run-inspection doctor CONFIG, with `bundle: " + str(output) + "` in CONFIG")


@_export.command(help=ADD_HELP)
def add(bundle: _Bundle, target: _Target = None, max_batch: _MaxBatch = USUAL_BATCH) -> None:
    """Build engines."""
    from export.engines import add_engines, parse_target
    from runtime.bundles.bundle import load_bundle

    if not target:
        raise ConfigError("say what to build for: --target here, or --target sm89.")
    loaded = load_bundle(bundle)
    was_signed = loaded.is_signed
    done = add_engines(loaded, [parse_target(text) for text in dict.fromkeys(target)], max_batch)
    typer.echo(f"engines in {bundle}: " + ", ".join(engine.file for engine in done.manifest.engines))
    if was_signed:
        typer.echo("its signature was removed, because the bundle has changed: sign it again")
    typer.echo(f"next: export-engine verify {quote(str(bundle))} --data PICTURES, on the box")


@_export.command()
def inspect(
    bundle: _Bundle,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for a program.")] = False,
    key: Annotated[Path | None, typer.Option(help="The site's public key in PEM: check the signature too.")] = None,
) -> None:
    """Show what a bundle is, how it was proven, and its engines; its hashes are checked. A refused one is shown too."""
    from runtime.bundles.bundle import load_bundle

    loaded = load_bundle(bundle, key, refused_too=True)
    if as_json:
        typer.echo(loaded.manifest.model_dump_json(indent=2))
        return
    from export.summary import print_card

    print_card(loaded, key)


@_export.command(help=VERIFY_HELP)
def verify(
    bundle: _Bundle,
    data: Annotated[str, typer.Option(help=f"Pictures: a folder, {cli.CELLS}.")],
    backend: Annotated[Kind, typer.Option(help="As backend.kind in run-inspection's configuration.")] = "auto",
    max_batch: Annotated[int, typer.Option(min=1, max=LARGEST_BATCH, help="Pictures judged at once.")] = USUAL_BATCH,
) -> None:
    """Compare."""
    from export.parity import parity_table
    from export.summary import wide_console
    from export.verify import verify_bundle

    verified = verify_bundle(bundle, data, backend, max_batch)
    parity, against = verified.parity, verified.against
    wide_console().print(parity_table([parity], against))
    typer.echo(
        f"{bundle}: {parity.backend} judges as {against} does, on {parity.pictures} of {verified.pictures} pictures"
    )


@_export.command()
def pack(bundle: _Bundle, output: Annotated[Path, typer.Option(help="New file to write.")]) -> None:
    """Write a bundle into one file, and print its sha256: to copy to a box, and check there."""
    from export.package import pack as write
    from runtime.bundles.bundle import load_bundle

    typer.echo(f"{write(load_bundle(bundle), output)}  {output}")


@_export.command()
def unpack(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File that `export-engine pack` wrote.")],
    output: Annotated[Path, typer.Option(help="New folder to write.")],
    sha256: Annotated[str | None, typer.Option(help="What `pack` printed; another file is refused.")] = None,
) -> None:
    """Unpack a packed bundle into a folder, and check every hash in it."""
    from export.package import unpack as read

    bundle = read(file, output, sha256)
    typer.echo(f"bundle: {output} ({bundle.manifest.name}, sha256 {bundle.manifest.model_sha256[:12]})")


@_export.command()
def sign(
    bundle: _Bundle,
    key: Annotated[
        Path,
        typer.Option(
            help="Ed25519 private key in PEM, which the site holds: openssl genpkey -algorithm ed25519 -out KEY."
        ),
    ],
) -> None:
    """Sign a bundle; a box with `bundle_key` in its configuration takes no other."""
    from export.package import sign as write

    write(bundle, key)
    typer.echo(f"signed: {bundle}")


def export_engine() -> None:
    """Entry point of `export-engine`."""
    cli.run(_export)
