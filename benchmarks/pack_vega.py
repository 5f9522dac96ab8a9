"""Write templates/html/_vega.js: Vega as the pages of reports carry it, bundled anew for each release of vl-convert.

    python benchmarks/pack_vega.py [--json FILE] [--output FILE]

The bundle holds Vega, Vega-Lite, vega-embed and what they need, and leaves one name in the page, `vegaEmbed`. All of it comes with
vl-convert: what moves in a browser and what stands still in a picture are drawn by the same releases. There is nothing to make smaller: the
three sizes of run do the same.

Keys: `bytes` (of the bundle), `bytes_before` (of the file that was there; unknown where there was none).
"""

from pathlib import Path

import vl_convert

from advisor.tell.charts.still import VEGA_LITE
from harness import Figures, Unknown, parsed, parser_of, save, show

OUTPUT = Path(__file__).parents[1] / "templates" / "html" / "_vega.js"
SNIPPET = "window.vegaEmbed = vegaEmbed;"
LICENSE = """\
Copyright (c) 2015-2025, University of Washington Interactive Data Lab (Vega, Vega-Lite, vega-embed) and Mike Bostock (D3)
All rights reserved.

Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following
conditions are met:
1. Redistributions of source code must retain the above copyright notice, this list of conditions and the following disclaimer.
2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following disclaimer
in the documentation and/or other materials provided with the distribution.
3. Neither the name of the copyright holder nor the names of its contributors may be used to endorse or promote products derived
from this software without specific prior written permission.
THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT
NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL
THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES
(INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS
INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE
OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""


def bundle() -> str:
    """Return the bundle as a script: what it is and under which license, then a function that leaves one name behind."""
    release: str = vl_convert.__version__  # type: ignore[attr-defined]  # its types leave it out
    releases = (
        f"Vega {vl_convert.get_vega_version()}, Vega-Lite {VEGA_LITE} and vega-embed {vl_convert.get_vega_embed_version()}, as bundled by "
        f"vl-convert {release} (benchmarks/pack_vega.py)."
    )
    return f"/* {releases}\n\n{LICENSE}*/\n(()=>{{{vl_convert.javascript_bundle(SNIPPET, vl_version=VEGA_LITE)}\n}})();\n"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE", help="where to write")
    arguments = parsed(parser)
    before = arguments.output.stat().st_size if arguments.output.exists() else None
    arguments.output.write_text(bundle(), encoding="utf-8")
    figures: Figures = {
        "bytes": float(arguments.output.stat().st_size),
        "bytes_before": Unknown("there was no such file") if before is None else float(before),
    }
    show(figures)
    save(arguments.json, arguments.size, figures)


if __name__ == "__main__":
    main()
