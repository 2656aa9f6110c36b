import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { transform } from "esbuild";
import { expect, test } from "vitest";
import { AlternateScreen } from "../../../src/reporter/ink/screen.ts";
import { FakeTerminal } from "../lib/fake-terminal.ts";

const LEFT = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/** Runs a program that has entered the screen; its output and errors together, as a terminal gets them. */
async function run(program: string): Promise<string> {
  const source = await readFile(new URL("../../../src/reporter/ink/screen.ts", import.meta.url), "utf8");
  const { code } = await transform(source, { loader: "ts", format: "esm" });
  const whole = `${code}\nconst screen = new AlternateScreen(process.stdout);\nscreen.enter();\nprocess.stdout.write("hello");\n${program}`;
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

test("an exception that is handled leaves the screen as it is", async () => {
  const output = await run(
    'process.on("uncaughtException", () => process.stdout.write("handled"));setImmediate(() => { throw new Error("x"); });',
  );
  expect(output.indexOf("handled")).toBeGreaterThan(output.indexOf("hello"));
  expect(output.indexOf(LEFT)).toBeGreaterThan(output.indexOf("handled"));
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
