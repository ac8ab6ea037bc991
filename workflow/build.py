"""Builds the book: python workflow/build.py book | site | notebooks [PATH ...] | serve.

book       runs every notebook on a copy of the sources, then compiles the pages
site       compiles the pages from the stored outputs and runs nothing
notebooks  runs the notebooks on a copy and stores their outputs in place
serve      shows the newest of the two sites at http://localhost:8000

One build at a time: a second one in the same tree waits.
"""

import argparse
import base64
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
PORT = 8000
LARGEST_NOTEBOOK = 300_000  # bytes, with its outputs
COPIED_FOLDERS = ["book", "notebooks", "src"]
COPIED_FILES = ["_config.yml", "_toc.yml", "CITATION.cff"]
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},  # the Colab line is not plain Python
}


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other build runs in this tree; the system lets go of the lock of a build that was killed."""
    from filelock import FileLock, Timeout

    BUILD.mkdir(exist_ok=True)
    lock = FileLock(BUILD / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print("Another build runs in this tree; this one waits for it.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def begun(site: Path) -> Path:
    """The file whose time says when the last build of this site was begun; one that ended well left a younger site."""
    return site.with_name(f".{site.name}.begun")


def age(site: Path) -> str:
    """When a site was built, in words."""
    return time.strftime("%d %B %Y, %H:%M", time.localtime((site / "index.html").stat().st_mtime))


def not_built(site: Path, reason: str) -> str:
    """What a failed build says: why, and that a site which is still there is older."""
    older = f"; {site} is the site of an earlier build ({age(site)})" if (site / "index.html").exists() else ""
    return f"The book was not built: {reason}{older}."


def fresh_copy(name: str) -> Path:
    """Copy what the pages are made of to `_build/<name>`, so that no build writes to the working tree."""
    copy = BUILD / name
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "*.npz", "*.pyc", "*.xz")
    for folder in COPIED_FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for file in COPIED_FILES:
        shutil.copy2(ROOT / file, copy / file)
    return copy


def run_notebook(notebook: Path, copy: Path) -> str:
    """Run one notebook in its own folder and put the executed one in its place; return what went wrong, or ''."""
    executed = notebook.with_suffix(".executed.ipynb")
    command = [sys.executable, "-m", "papermill", str(notebook), str(executed)]
    command += ["--cwd", str(notebook.parent), "--kernel", "python3", "--no-progress-bar"]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "COMPANION_RESULTS": str(copy / "book" / "results"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode == 0:
        executed.replace(notebook)
        return ""
    return error_in(executed) or (run.stderr.strip().splitlines() or ["papermill gave no message."])[-1]


def error_in(executed: Path) -> str:
    """Return the last line of the error that a run left in its notebook, or '' if there is none."""
    import nbformat

    if not executed.exists():
        return ""
    for cell in nbformat.read(executed, as_version=4).cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return f"{output.ename}: {output.evalue}".strip().splitlines()[-1]
    return ""


def run_notebooks(notebooks: list[Path], copy: Path) -> list[Path]:
    """Run the notebooks, two at a time; report the failed ones and return those that succeeded."""
    from tqdm import tqdm

    failures, done = {}, []
    pool = ThreadPoolExecutor(max_workers=2)
    try:
        jobs = {pool.submit(run_notebook, notebook, copy): notebook for notebook in notebooks}
        with tqdm(total=len(notebooks), unit="notebook", desc="Running") as bar:
            for job in as_completed(jobs):
                notebook, problem = jobs[job], job.result()
                if problem:
                    failures[notebook] = problem
                else:
                    done.append(notebook)
                bar.set_postfix_str(notebook.stem, refresh=False)
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)
    for notebook, problem in failures.items():
        print(f"{notebook.relative_to(copy)} failed: {problem}", file=sys.stderr)
        print(f"  as far as it came: {notebook.with_suffix('.executed.ipynb')}", file=sys.stderr)
    return done


def draw_what_held(copy: Path) -> None:
    """Draw the verdicts of today's records for the first page."""
    from companion import claims, what_held

    picture = copy / "book" / "_static" / "what_held.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    what_held.draw(claims.verdicts(), picture)


def write_live_networks(copy: Path) -> None:
    """Write the trained networks that pages run in the browser, and what they show without JavaScript."""
    from companion import live

    folder = copy / "book" / "_static" / "live"
    for page in live.PAGES:
        live.write(page, folder)
        (folder / f"example_{page}.html").write_text(live.example(page), encoding="utf-8")


def compile_pages(copy: Path, site: Path) -> None:
    """Compile the pages with warnings as errors; the finished site replaces the old one."""
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(copy)]
    command += ["-q", "-W", "-n", "--keep-going", "--path-output", str(copy)]
    print("Compiling the pages", flush=True)
    run = subprocess.run(command, capture_output=True, text=True)
    html = copy / "_build" / "html"
    if run.returncode or not (html / "index.html").exists():
        print(run.stdout, run.stderr, sep="\n", file=sys.stderr)
        sys.exit(not_built(site, "see the warnings and errors above"))
    shutil.rmtree(site, ignore_errors=True)
    html.rename(site)
    (site / ".nojekyll").touch()


MENDED = {  # what a screen reader stumbles over in the HTML of the theme and of docutils
    '<summary><span class="toctree-toggle"': '<summary aria-label="Pages of this chapter"><span class="toctree-toggle"',
    '<div role="list" class="citation-list">': '<div class="citation-list">',  # its entries are no items of a list
    ' role="doc-biblioentry"': "",  # deprecated, and no role without that list
}


def mend(site: Path) -> None:
    """Put right in the pages what neither the sources nor a style sheet can."""
    for page in site.rglob("*.html"):
        text = mended = page.read_text(encoding="utf-8")
        for fault, right in MENDED.items():
            mended = mended.replace(fault, right)
        if mended != text:
            page.write_text(mended, encoding="utf-8")


def write_printable_parts(copy: Path, site: Path) -> None:
    """Write into the site one page a part, to be printed whole."""
    import yaml
    from printable import write

    title = yaml.safe_load((copy / "_config.yml").read_text(encoding="utf-8"))["title"]
    write(site, yaml.safe_load((copy / "_toc.yml").read_text(encoding="utf-8")), title)


def strip(notebook: Path) -> None:
    """Drop from an executed notebook what differs between two equal runs, and make its figures small."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    content.metadata = nbformat.from_dict(METADATA)
    for cell in content.cells:
        kept = {key: value for key, value in cell.metadata.items() if key in {"tags", "mystnb"} and value}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "metadata" in output:
                    output.metadata = nbformat.from_dict({})
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = with_palette(output.data["image/png"])
    nbformat.write(content, notebook)


def with_palette(png: str) -> str:
    """Return a base64 PNG in 256 colours: a figure of lines takes a third of the bytes and looks the same."""
    from PIL import Image

    smaller = io.BytesIO()
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(smaller, "png", optimize=True)
    return base64.b64encode(smaller.getvalue()).decode()


def all_notebooks(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def book(site: str = "book", execute: bool = True) -> None:
    start = time.monotonic()
    begun(BUILD / site).touch()
    copy = fresh_copy(f"{site}-source")
    if execute:
        notebooks = all_notebooks(copy)
        if len(run_notebooks(notebooks, copy)) < len(notebooks):
            sys.exit(not_built(BUILD / site, "a notebook failed"))
    draw_what_held(copy)
    write_live_networks(copy)
    compile_pages(copy, BUILD / site)
    mend(BUILD / site)
    write_printable_parts(copy, BUILD / site)
    print(f"Open {BUILD / site / 'index.html'}")
    print(f"It took {time.monotonic() - start:.0f} s.")


def refresh(chosen: list[str]) -> None:
    copy = fresh_copy("notebooks-source")
    notebooks = [copy / Path(path).resolve().relative_to(ROOT) for path in chosen] or all_notebooks(copy)
    done = run_notebooks(notebooks, copy)
    too_large = []
    for notebook in done:
        strip(notebook)
        if notebook.stat().st_size > LARGEST_NOTEBOOK:
            too_large.append(notebook)
            print(f"{notebook.relative_to(copy)} would have {notebook.stat().st_size:,} bytes; at most "
                  f"{LARGEST_NOTEBOOK:,} are stored. Make its figures smaller.", file=sys.stderr)  # fmt: skip
        else:
            os.replace(notebook, ROOT / notebook.relative_to(copy))
    print(f"Stored the outputs of {len(done) - len(too_large)} of {len(notebooks)} notebooks.")
    if len(done) - len(too_large) < len(notebooks):
        sys.exit(1)


def serve() -> None:
    both = (BUILD / "book", BUILD / "site")
    built = {site: (site / "index.html").stat().st_mtime for site in both if (site / "index.html").exists()}
    if not built:
        sys.exit("There is no site yet: run make book first.")
    newest = max(built, key=built.get)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", PORT), partial(SimpleHTTPRequestHandler, directory=newest))
    except OSError as error:
        sys.exit(f"The site cannot be shown at port {PORT} ({error.strerror}): end what runs there.")
    if any(mark.exists() and mark.stat().st_mtime >= built[newest] for mark in map(begun, both)):
        print(f"This site, of {age(newest)}, is older than the last build, which did not finish.", flush=True)
    print(f"Showing {newest} at http://localhost:{server.server_port} (stop with Ctrl-C)", flush=True)
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["book", "site", "notebooks", "serve"])
    parser.add_argument("paths", nargs="*", help="for notebooks: only these")
    arguments = parser.parse_args()
    try:
        if arguments.what == "serve":
            serve()
            return
        with alone():
            if arguments.what == "notebooks":
                refresh(arguments.paths)
            else:
                book(site=arguments.what, execute=arguments.what == "book")
    except KeyboardInterrupt:
        sys.exit("Stopped. The notebooks in the working tree are as they were.")


if __name__ == "__main__":
    main()
