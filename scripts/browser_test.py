#!/usr/bin/env python3
"""Opens a report in headless Chromium and uses it: hover, legend, scale, download; then the same page without scripts.

    python3 scripts/browser_test.py [GALLERY/report.html]

Without a page it draws one with `cargo run -p looped-report --example gallery`. It needs Chromium; where that is
missing and can't be installed with apt-get, the test is skipped with a message and exit code 0.
The page is used by a script that is put into a copy of it and acts where a pointer would, on what lies at a place.
"""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
]

NO_SCRIPTS = """<meta http-equiv="Content-Security-Policy" content="script-src 'none'"/>"""

# Before the page's own script: what goes wrong from now on is remembered.
WATCH = "<script>window.errors = []; addEventListener('error', event => errors.push(event.message));</script>"

USE = r"""
<script>
const failures = [];
const check = (holds, what) => { if (!holds) failures.push(what); };
const figure = name => document.querySelector(`figure[data-name="${name}"]`);
const send = (type, [x, y]) => {
  const target = document.elementFromPoint(x, y);
  target?.dispatchEvent(new PointerEvent(type, { clientX: x, clientY: y, bubbles: true }));
  return target;
};
const middle = element => {
  element.scrollIntoView({ block: 'center' });
  const box = element.getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
};
/** The place of a share of the frame across and down, on the screen. */
const inFrame = (panel, across, down) => {
  panel.scrollIntoView({ block: 'center' });
  const [left, top, width, height] = panel.dataset.frame.split(' ').map(Number);
  const at = new DOMPoint(left + across * width, top + down * height).matrixTransform(panel.getScreenCTM());
  return [at.x, at.y];
};
const tip = of => of.querySelector('.tip');

function hover() {
  const of = figure('examples_log');
  send('pointermove', inFrame(of.querySelector('.panel'), 0.5, 0.15));
  check(!tip(of).hidden, 'hover shows values');
  const lines = [...tip(of).children].map(line => line.textContent.trim());
  // The report's table has the same numbers in its column for 20 examples.
  const rows = [...document.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.textContent));
  const expected = ['20', ...rows.map(([name, , at20]) => `${name} ${at20}`)];
  check(JSON.stringify(lines) === JSON.stringify(expected), `hover says ${lines.join(' | ')}, the table ${expected.join(' | ')}`);
  check(of.querySelectorAll('.cursor circle').length === rows.length, 'a dot on each curve');
  const box = tip(of).getBoundingClientRect();
  check(box.left >= 0 && box.right <= innerWidth, `the values are on the page: ${box.left} to ${box.right}`);
  of.querySelector('.panel').dispatchEvent(new PointerEvent('pointerleave'));
  check(tip(of).hidden && !of.querySelector('.cursor').children.length, 'leaving the figure hides the values');
}

function legend() {
  const of = figure('examples_log');
  const entry = of.querySelector('.entry[data-curve="1"]');
  const curve = of.querySelector('.curve[data-curve="1"]');
  const shown = () => getComputedStyle(curve).display !== 'none';
  check(shown(), 'a curve is there at first');
  send('click', middle(entry.querySelector('text')));
  check(!shown() && entry.getAttribute('aria-pressed') === 'false', 'a click on its entry hides a curve');
  send('pointermove', inFrame(of.querySelector('.panel'), 0.5, 0.15));
  check(!tip(of).textContent.includes('least squares'), 'a hidden curve has no values');
  send('click', middle(entry.querySelector('text')));
  check(shown() && entry.getAttribute('aria-pressed') === 'true', 'a second click shows it again');
  entry.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
  check(!shown(), 'Enter hides it too');
  return curve;
}

function scale() {
  const of = figure('examples_log');
  const scaleOf = () => of.querySelector('.panel').dataset.y.split(' ')[0];
  const button = name => [...of.querySelectorAll('.tools button')].find(each => each.textContent === name);
  check(scaleOf() === 'log' && button('log').getAttribute('aria-pressed') === 'true', 'the figure begins as it was drawn');
  send('click', middle(button('linear')));
  check(scaleOf() === 'linear' && button('linear').getAttribute('aria-pressed') === 'true', 'linear is shown after a click');
  check(of.querySelectorAll('svg').length === 2 - 1 + of.querySelectorAll('svg svg').length, 'one drawing is shown');
  check(of.querySelector('.curve[data-curve="1"]').classList.contains('hidden'), 'what was hidden stays hidden');
  send('pointermove', inFrame(of.querySelector('.panel'), 0.5, 0.1));
  check(!tip(of).hidden, 'values can be read on the other scale');
  send('click', middle(button('log')));
  check(scaleOf() === 'log', 'and log again');
  check(!figure('pairs').querySelector('.tools'), 'a heat map has one scale');
}

function panels() {
  const of = figure('many');
  check(of.querySelectorAll('.panel').length === 3, '14 models have three panels');
  const baseline = of.querySelector('.entry').dataset.curve;
  of.querySelector('.entry').dispatchEvent(new MouseEvent('click', { bubbles: true }));
  const hidden = of.querySelectorAll(`.curve[data-curve="${baseline}"].hidden`);
  check(hidden.length === 3, `an entry of a baseline hides it in all panels, not ${hidden.length}`);
}

function data() {
  for (const of of document.querySelectorAll('figure')) {
    const text = of.querySelector('details code').textContent;
    const link = of.querySelector('details a');
    check(link?.download === `${of.dataset.name}.csv`, 'a download has the name of its figure');
    check(decodeURIComponent(link.href.split(',').slice(1).join(',')) === text, 'a download is the data shown');
  }
}

addEventListener('load', () => {
  try {
    hover(); legend(); scale(); panels(); data();
  } catch (error) {
    failures.push(String(error.stack));
  }
  failures.push(...errors);
  check(performance.getEntriesByType('resource').length === 0, 'the page asks for nothing else');
  check(document.documentElement.scrollWidth <= innerWidth, `the page is ${document.documentElement.scrollWidth} wide in a window of ${innerWidth}`);
  document.body.innerHTML = '<pre id="result"></pre>';
  document.getElementById('result').textContent = JSON.stringify(failures);
});
</script>
"""


def main():
    chromium = find_chromium()
    if chromium is None:
        print("browser test skipped: no Chromium here, and apt-get can't install it; "
              "with one: python3 scripts/browser_test.py")
        return 0
    with tempfile.TemporaryDirectory() as place:
        page = Path(sys.argv[1]) if len(sys.argv) > 1 else draw(Path(place))
        failures = [f"{width} px: {failure}" for width in (1280, 520) for failure in use(chromium, page, width)]
        failures += [f"without scripts: {failure}" for failure in without_scripts(chromium, page)]
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"browser test: {'failed' if failures else 'hover, legend, scale, panels, data and no-script fallback work'}")
    return 1 if failures else 0


def find_chromium():
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found or not shutil.which("apt-get") or os.geteuid() != 0:
        return found
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]):
        if subprocess.run(command, **quiet, check=False).returncode != 0:
            return None
    return shutil.which("chromium")


def draw(folder):
    command = ["cargo", "run", "-q", "-p", "looped-report", "--example", "gallery", "--", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return folder / "report.html"


def dom(chromium, page, *flags):
    """The page as it is after its scripts have run."""
    with tempfile.TemporaryDirectory() as profile:
        command = [chromium, *FLAGS, f"--user-data-dir={profile}", *flags, "--dump-dom", page.resolve().as_uri()]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def use(chromium, page, width):
    with tempfile.TemporaryDirectory() as folder:
        used = Path(folder) / "used.html"
        text = page.read_text(encoding="utf-8")
        used.write_text(text.replace("<head>", "<head>" + WATCH, 1).replace("</body>", USE + "</body>"), encoding="utf-8")
        answer = dom(chromium, used, "--virtual-time-budget=10000", f"--window-size={width},900")
    result = re.search(r'<pre id="result">(.*?)</pre>', answer, re.DOTALL)
    return json.loads(html.unescape(result[1])) if result else [f"no answer: {answer[:500]}"]


def without_scripts(chromium, page):
    with tempfile.TemporaryDirectory() as folder:
        barred = Path(folder) / "barred.html"
        text = page.read_text(encoding="utf-8")
        barred.write_text(text.replace("<head>", "<head>" + NO_SCRIPTS, 1), encoding="utf-8")
        answer = dom(chromium, barred)
    figures = re.findall(r"<figure.*?</figure>", answer, re.DOTALL)
    if not figures:
        yield "no figures"
    for figure in figures:
        name = re.search(r'data-name="([^"]*)"', figure)[1]
        shown = re.sub(r"<template>.*?</template>", "", figure, flags=re.DOTALL)
        if "<svg" not in shown:
            yield f"{name}: no drawing"
        if not re.search(r"<details>.*?<code>[^<]+,low,high\n", shown, re.DOTALL):
            yield f"{name}: no data"
        if 'class="tools"' in shown or 'role="button"' in shown:
            yield f"{name}: a button that nothing answers"


sys.exit(main())
