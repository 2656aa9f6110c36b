import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { runFolded } from "../../../src/fanout/shell/fold-view.ts";
import { createPane, type Pane } from "../../../src/fanout/shell/pane.ts";
import { textWidth } from "../../../src/reporter/rows/layout.ts";
import { until } from "../../lib/patience.ts";
import { fleetStarter } from "../fleet.ts";

const startHosts = fleetStarter();
const opened: Pane[] = [];
let homes: readonly string[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((pane) => pane.close()));
});

async function openPanes(count: number): Promise<readonly Pane[]> {
  const { hosts, fleet } = await startHosts({ count, env: { PS1: "sh> " } });
  homes = fleet.hosts.map(({ home }) => home);
  const panes = hosts.map((host) =>
    createPane({
      ...{ host, columns: 40, rows: 20, scrollback: 100, widthOf: textWidth },
      ...{ changed: () => {}, rang: () => {}, signal: new AbortController().signal },
    }),
  );
  opened.push(...panes);
  await Promise.all(panes.map((pane) => pane.open()));
  await until(() => panes.every((pane) => shown(pane).endsWith("sh>")));
  return panes;
}

const shown = ({ emulator }: Pane): string => emulator.text().join("\n").trimEnd();

/** Return the written text without its colours. */
async function fold(
  panes: readonly Pane[],
  line: string,
  { signal = new AbortController().signal, progress = (_: readonly string[]): void => {} } = {},
): Promise<string> {
  let written = "";
  const write = async (text: string): Promise<void> => {
    written += text;
  };
  await runFolded({ line, panes, progress, write, signal });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
  return written.replace(/\x1b\[[\d;]*m/g, "");
}

it("writes equal answers once, the most frequent first, and lets none forge another", async () => {
  const panes = await openPanes(3);
  const waiting: (readonly string[])[] = [];
  const written = await fold(
    panes,
    `case $HOME in *web02) printf 'odd\\033[2J\\r\\033[1;36mweb99\\n'; echo bad >&2; (exit 3);; *) echo even;; esac`,
    { progress: (left) => waiting.push(left) },
  );
  expect(waiting.map((left) => left.length)).toEqual([2, 1, 0]);
  expect(written).toMatch(/^3 hosts, 2 answers/);
  expect(written).toContain("web[01,03] (2)\neven\n\nweb02  exit 3\nodd[2J[1;36mweb99\nbad\n");
  expect(homes.map((home) => readdirSync(join(home, ".cache/volley")))).toEqual([[], [], []]);
});

it("runs in the shell that is open there, with its directory, variables and functions, and leaves it so", async () => {
  const panes = await openPanes(2);
  for (const pane of panes) pane.sendText("cd / && answer() { echo the answer is $1; }\r");
  await until(() => panes.every((pane) => /answer.*\nsh>$/s.test(shown(pane))));
  expect(await fold(panes, "pwd; answer 42")).toContain("web[01-02] (2)\n/\nthe answer is 42\n");
  expect(await fold(panes, 'cd /usr; later="it\'s so"; false')).toContain("exit 1\n(no output)");
  expect(await fold(panes, 'pwd; echo "$later"')).toContain("/usr\nit's so\n");
});

it("shows what came of it in the terminals, too", async () => {
  const [pane] = await openPanes(1);
  await fold([pane!], "echo one; printf two");
  await until(() => shown(pane!).endsWith("\none\ntwosh>"));
});

it("leaves out what stood on the line already", async () => {
  const [pane] = await openPanes(1);
  pane!.sendText("echo half a li");
  await until(() => shown(pane!).endsWith("half a li"));
  expect(await fold([pane!], "echo whole")).toContain("\nwhole\n");
});

it("gives bytes as they were written, and no terminal to write to or read from", async () => {
  const [pane] = await openPanes(1);
  const written = await fold(
    [pane!],
    `printf 'a\\r\\nb\\n'; [ -t 0 ] || [ -t 1 ] || [ -t 2 ] || echo none; read -r x || echo empty`,
  );
  expect(written).toContain("a\nb\nnone\nempty\n");
  let raw = "";
  const { signal } = new AbortController();
  const output = async (chunk: Buffer): Promise<void> => {
    raw += chunk.toString("utf8");
  };
  await pane!.ask("printf 'a\\r\\nb\\n\\tc'; seq 1 3000", { signal, output });
  expect(raw).toBe(`a\r\nb\n\tc${Array.from({ length: 3000 }, (_, index) => `${index + 1}\n`).join("")}`);
});

it("runs the lines of a paste as one script", async () => {
  const [pane] = await openPanes(1);
  const script = "for word in 'a\\\\b' '%s'; do\n  echo \"$word\" # a remark\ndone\nlater=5";
  expect(await fold([pane!], script)).toContain(`\na\\b\n%s\n`);
  expect(await fold([pane!], "echo $later")).toContain("\n5\n");
});

it("survives a line that is no line, and has the shell's own words for it", async () => {
  const panes = await openPanes(2);
  expect(await fold(panes, 'echo "unclosed')).toMatch(/web\[01-02\] \(2\) {2}exit \d+\n.*nterminated|EOF/);
  expect(await fold(panes, "if # no comment")).toMatch(/exit \d+\n.*yntax/);
  expect(await fold(panes, "echo still there")).toContain("\nstill there\n");
});

it("says why a host gave no answer, also when its shell ends with the line", async () => {
  const [one, two] = await openPanes(2);
  two!.sendText("printf '\\033[?1049h'; cat\r");
  await until(() => two!.emulator.isAlternate);
  const written = await fold([one!, two!], "exit 7");
  expect(written).toContain("web01  its shell has ended with it: exit 7\n");
  expect(written).toContain("web02  a program has its whole screen\n");
});

it("interrupts what does not end, and the shell takes the next line", async () => {
  const [one, two] = await openPanes(2);
  const stop = new AbortController();
  // The program that prints "here" is in the foreground by then.
  two!.sendText("sh -c 'echo here; exec cat'\r");
  await until(() => shown(two!).endsWith("\nhere"));
  const line = "sh -c 'echo begun > /dev/tty; exec sleep 999'";
  const folding = fold([one!, two!], line, { signal: stop.signal });
  // On the terminal, behind the shell's own word that it has taken the line.
  await until(() => shown(one!).endsWith("begun"));
  stop.abort();
  const written = await folding;
  expect(written).toContain("web01  interrupted\n");
  expect(written).toContain("web02  its shell has not taken the line");
  // A program may still read what is typed before it dies of the interrupt.
  await until(() => [one!, two!].every((pane) => shown(pane).endsWith("sh>")));
  expect(await fold([one!, two!], "echo after")).toContain("web[01-02] (2)\nafter\n");
});
