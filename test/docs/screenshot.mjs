// Makes the README's picture from a real run: node test/docs/screenshot.mjs [file]
// Needs tmux and a build (npm run build). It runs `volley demo` in a terminal of its own, looks at it twenty times a
// second, and draws the screen on which the hosts are at the most different things.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const COLUMNS = 100;
const ROWS = 28;
const HOSTS = 40;
/** How often the demo is run at most, until hosts were seen at this many different things. */
const TRIES = 5;
const GOOD = 6;
const TITLE = `volley demo --hosts ${HOSTS}`;

const CELL_WIDTH = 8.4;
const CELL_HEIGHT = 18;
const MARGIN = 16;
const BAR = 30;
const PAPER = "#14171c";
const INK = "#d5d9e0";
const COLOURS = ["#4b5261", "#f0717a", "#7fd08a", "#e5c07b", "#6cb2f7", "#c792ea", "#5fc9d8", "#d5d9e0"];
const BRIGHT = ["#717a8c", "#ff8f97", "#9be8a5", "#f7d794", "#8fc7ff", "#d9aef5", "#85e0ec", "#ffffff"];

const ESCAPE = String.fromCharCode(27);
const STYLES = new RegExp(`${ESCAPE}\\[[\\d;]*m`, "g");
const PIECES = new RegExp(`(?:${ESCAPE}\\[([\\d;]*)m)|([^${ESCAPE}]+)`, "g");

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const target = process.argv[2] ?? join(root, "docs", "screen.svg");

let best = { screen: "", score: 0 };
// On a busy machine the hosts may all be at the same thing whenever the screen is drawn.
for (let tries = 0; tries < TRIES && best.score < GOOD; tries++) await watchDemo();
if (best.screen === "") throw new Error("the demo showed no terminal UI: has it been built?");
writeFileSync(target, drawScreen(best.screen));

async function watchDemo() {
  const home = mkdtempSync(join(tmpdir(), "volley-screen-"));
  const tmux = (...args) =>
    execFileSync("tmux", ["-S", join(home, "tmux"), "-f", "/dev/null", ...args], {
      encoding: "utf8",
      stdio: "pipe",
    });
  const environment = ["env", "-u", "CI", "-u", "NO_COLOR", `HOME=${home}`, "LANG=C.UTF-8", "LC_ALL=C.UTF-8"];
  const demo = [process.execPath, join(root, "dist/cli/main.js"), "demo", "--hosts", String(HOSTS)];
  tmux("new-session", "-d", "-x", String(COLUMNS), "-y", String(ROWS), ...environment, ...demo);
  try {
    for (;;) {
      let seen;
      try {
        seen = tmux("capture-pane", "-e", "-p");
      } catch {
        break; // The demo has ended, and its terminal with it.
      }
      const score = variety(seen.replace(STYLES, ""));
      if (score > best.score) best = { screen: seen, score };
      await sleep(50);
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** How many different things hosts are at; 0 for what is no screen of the first run, the one that changes things. */
function variety(text) {
  const [, done] = /(\d+)\/\d+ done/.exec(text) ?? [];
  if (done === undefined || !/[1-9]\d* changed/.test(text)) return 0;
  const doing = [...text.matchAll(/^.{4}web\d+ {2}(.+?) {2,}/gm)].map(([, words]) => words);
  return new Set(doing).size + (Number(done) > 0 && Number(done) < HOSTS ? HOSTS : 0);
}

/** The screen as an SVG: text in the reader's own monospace font, each run of one style at its column. */
function drawScreen(text) {
  const width = COLUMNS * CELL_WIDTH + 2 * MARGIN;
  const height = ROWS * CELL_HEIGHT + 2 * MARGIN + BAR;
  let style = {};
  const rows = text
    .split("\n")
    .slice(0, ROWS)
    .map((line, row) => {
      const drawn = [];
      let column = 0;
      for (const [, codes, run] of line.matchAll(PIECES)) {
        if (run === undefined) style = restyle(style, codes);
        else {
          drawn.push(drawRun(run, column, row, style));
          column += [...run].length;
        }
      }
      return drawn.join("");
    });
  const lamps = ["#f0717a", "#e5c07b", "#7fd08a"].map(
    (colour, index) => `<circle cx="${MARGIN + 6 + index * 20}" cy="18" r="6" fill="${colour}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
<rect width="100%" height="100%" rx="8" fill="${PAPER}"/>
${lamps.join("")}<text x="${width / 2}" y="22" fill="${BRIGHT[0]}" text-anchor="middle">${TITLE}</text>
${rows.filter((row) => row !== "").join("\n")}
</svg>
`;
}

function drawRun(run, column, row, { colour, back, bold, dim, inverse }) {
  const x = (MARGIN + column * CELL_WIDTH).toFixed(1);
  const y = BAR + MARGIN + row * CELL_HEIGHT;
  const cells = [...run].length;
  const length = (cells * CELL_WIDTH).toFixed(1);
  const paper = inverse ? (colour ?? INK) : back;
  const behind =
    paper === undefined
      ? ""
      : `<rect x="${x}" y="${y}" width="${length}" height="${CELL_HEIGHT}" fill="${paper}"/>`;
  if (run.trim() === "") return behind;
  const text = run.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const weight = bold ? ' font-weight="bold"' : "";
  const opacity = dim ? ' opacity="0.55"' : "";
  const fill = inverse ? (back ?? PAPER) : (colour ?? INK);
  return `${behind}<text x="${x}" y="${y + 13}" textLength="${length}" xml:space="preserve" fill="${fill}"${weight}${opacity}>${text}</text>`;
}

/** The style after a control sequence (ECMA-48, Select Graphic Rendition). */
function restyle(before, codes) {
  let style = { ...before };
  for (const code of codes.split(";").map(Number)) {
    if (code === 0) style = {};
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 7) style.inverse = true;
    else if (code === 22) style = { ...style, bold: false, dim: false };
    else if (code === 27) style.inverse = false;
    else if (code >= 30 && code <= 37) style.colour = COLOURS[code - 30];
    else if (code === 39) style.colour = undefined;
    else if (code >= 40 && code <= 47) style.back = COLOURS[code - 40];
    else if (code === 49) style.back = undefined;
    else if (code >= 90 && code <= 97) style.colour = BRIGHT[code - 90];
    else if (code >= 100 && code <= 107) style.back = BRIGHT[code - 100];
  }
  return style;
}
