// Makes the README's picture from a real run: node test/docs/screenshot.mjs [file]
// Needs tmux and a build (npm run build). This script runs `volley demo` in a terminal of its own, looks at the screen
// twenty times a second, and draws the one on which the hosts are at the most different things.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { drawScreen } from "./draw-screen.mjs";

const COLUMNS = 100;
const ROWS = 28;
const HOSTS = 40;
/** How often the demo is run at most, until hosts were seen at this many different things. */
const TRIES = 5;
const GOOD = 6;
const TITLE = `volley demo --hosts ${HOSTS}`;

const ESCAPE = String.fromCharCode(27);
const STYLES = new RegExp(`${ESCAPE}\\[[\\d;]*m`, "g");

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const target = process.argv[2] ?? join(root, "docs", "screen.svg");

let best = { screen: "", score: 0 };
// On a busy machine the hosts may all be at the same thing whenever the screen is drawn.
for (let tries = 0; tries < TRIES && best.score < GOOD; tries++) await watchDemo();
if (best.screen === "") throw new Error("the demo showed no terminal UI: has it been built?");
writeFileSync(target, drawScreen(best.screen, { columns: COLUMNS, rows: ROWS, title: TITLE }));

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
