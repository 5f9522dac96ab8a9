"""Bundle Vega for the pages of reports: templates/html/_vega.js, written anew for each release of vl-convert.

    python benchmarks/pack_vega.py [-o FILE]

The bundle holds Vega, Vega-Lite, vega-embed and what they need, and puts `vegaEmbed` into the page. All of them come with vl-convert, so what
moves in the browser and what stands still are drawn by the same releases.
"""

import argparse
from pathlib import Path

import vl_convert

FILE = Path(__file__).parents[1] / "templates" / "html" / "_vega.js"
SNIPPET = "window.vegaEmbed = vegaEmbed;"
VEGA_LITE = "6.4"  # as in advisor/tell/charts/still.py


def head() -> str:
    """Return the first line of the bundle: what it holds, and under which license."""
    return (
        f"/* Vega {vl_convert.get_vega_version()}, Vega-Lite {VEGA_LITE}, vega-embed {vl_convert.get_vega_embed_version()}, as bundled by "
        f"vl-convert {vl_convert.__version__}. Copyright University of Washington Interactive Data Lab and others, BSD-3-Clause. */\n"
    )


def bundle() -> str:
    """Return the bundle as a script that leaves one name behind."""
    return f"{head()}(()=>{{{vl_convert.javascript_bundle(SNIPPET, vl_version=VEGA_LITE)}\n}})();\n"


def main() -> None:
    """Write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=FILE)
    output = parser.parse_args().output
    output.write_text(bundle(), encoding="utf-8")
    print(f"{output}: {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
