import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { Writable } from "node:stream";
import { transform } from "esbuild";
import { expect, test } from "vitest";
import { AlternateScreen } from "../../../src/reporter/ink/screen.ts";
import { FakeTerminal } from "../fixtures/fake-terminal.ts";

const LEFT = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/** Runs a program that has entered the screen; its output and errors together, as a terminal gets them. */
async function run(program: string): Promise<string> {
  const source = await readFile(new URL("../../../src/reporter/ink/screen.ts", import.meta.url), "utf8");
  const { code } = await transform(source, { loader: "ts", format: "esm" });
  const whole = `${code}\nconst screen = new AlternateScreen(process.stdout);\nscreen.enter();\nscreen.draw([[0, "hello"]]);\n${program}`;
  return new Promise((resolve) => {
    execFile(
      "sh",
      ["-c", 'exec "$0" --input-type=module -e "$1" 2>&1', process.execPath, whole],
      (_, stdout) => resolve(stdout),
    );
  });
}

test("a crash gives the terminal back before its message is printed", async () => {
  const output = await run('setImmediate(() => { throw new Error("a bug"); });');
  expect(output.indexOf(LEFT)).toBeGreaterThan(output.indexOf("hello"));
  expect(output.indexOf("a bug")).toBeGreaterThan(output.indexOf(LEFT));
});

test("so does a promise nobody handles, and an exit, once", async () => {
  for (const program of ['Promise.reject(new Error("a bug"));', "process.exit(3);"]) {
    expect((await run(program)).split(LEFT)).toHaveLength(2);
  }
});

test("only what differs is written, at its place", () => {
  const terminal = new FakeTerminal(40, 5);
  const screen = new AlternateScreen(terminal);
  screen.enter();
  screen.draw([
    [0, "one"],
    [2, "three"],
  ]);
  expect(terminal.screen).toEqual(["one", "", "three", "", ""]);
  const before = terminal.raw.length;
  screen.draw([
    [0, "one"],
    [2, "drei"],
  ]);
  expect(terminal.raw.slice(before)).toBe("\x1b[?2026h\x1b[3;1H\x1b[0mdrei\x1b[0m\x1b[K\x1b[?2026l");
  screen.redraw(1);
  expect(terminal.screen).toEqual(["one", "", "", "", ""]);
  screen.leave();
  expect(terminal.violations).toEqual([]);
});

test("a slow terminal gets the latest of each line, not every one", async () => {
  const written: string[] = [];
  let release = (): void => {};
  const slow = new Writable({
    highWaterMark: 1,
    write(chunk, _encoding, done) {
      written.push(String(chunk));
      release = done;
    },
  });
  const screen = new AlternateScreen(slow);
  screen.draw([[0, "never seen: not entered"]]);
  screen.enter();
  for (let frame = 0; frame < 1_000; frame++) screen.draw([[0, `frame ${frame}`]]);
  while (slow.writableLength > 0) {
    release();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const frames = written.filter((text) => text.includes("frame"));
  expect(frames.length).toBeLessThanOrEqual(2);
  expect(frames.at(-1)).toContain("frame 999");
  screen.leave();
});

test("leaves no listeners behind", () => {
  const before = process.listenerCount("exit") + process.listenerCount("uncaughtExceptionMonitor");
  const screen = new AlternateScreen(new FakeTerminal());
  screen.enter();
  screen.enter();
  screen.leave();
  screen.leave();
  expect(process.listenerCount("exit") + process.listenerCount("uncaughtExceptionMonitor")).toBe(before);
});
