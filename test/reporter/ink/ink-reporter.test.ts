import { Writable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Event } from "../../../src/core/events.ts";
import { createReporter } from "../../../src/reporter/kinds.ts";
import type { Reporter } from "../../../src/reporter/reporter.ts";
import { PATIENT } from "../../lib/patience.ts";
import { FakeKeyboard, FakeTerminal } from "../lib/fake-terminal.ts";
import { HOSTILE, runStart, SGR, stamp } from "../lib/play.ts";
import { hostNames, simulate, summaryOf } from "../lib/simulate.ts";

const env = { TERM: "xterm-256color", LANG: "C.UTF-8" };
const UP = "\x1b[A";
const DOWN = "\x1b[B";
const RIGHT = "\x1b[C";
const ESCAPE = "\x1b";

let terminal: FakeTerminal;
let keyboard: FakeKeyboard;
let reporter: Reporter | undefined;
let cancels: number;
let events: readonly Event[] = [];

async function start(run: readonly Event[], environment: Record<string, string> = env): Promise<void> {
  events = run;
  reporter = await createReporter("ink", {
    stdout: terminal.stream,
    stdin: keyboard.stream,
    env: environment,
    verbosity: 0,
    diff: true,
    onCancel: () => cancels++,
  });
  for (const event of run) reporter.event(event);
}
async function end(): Promise<void> {
  await reporter?.end(summaryOf(events));
  reporter = undefined;
}
const shows = (text: string | RegExp): Promise<void> =>
  vi.waitFor(() => {
    const screen = terminal.screen.join("\n");
    if (typeof text === "string") expect(screen).toContain(text);
    else expect(screen).toMatch(text);
  }, PATIENT);

beforeEach(() => {
  terminal = new FakeTerminal(80, 24);
  keyboard = new FakeKeyboard();
  cancels = 0;
});
afterEach(async () => {
  await end();
  expect(terminal.violations).toEqual([]);
});

describe("the terminal UI", () => {
  const run = simulate(hostNames(200), { seed: 2 });
  const middle = run.slice(0, Math.floor(run.length / 3));

  test("draws on the alternate screen, one row less than it has, and leaves the last one empty", async () => {
    await start(middle);
    await shows("volley site.ts");
    await shows(/1-18 of 200/);
    expect(terminal).toMatchObject({ alternate: true, cursorHidden: true, wraps: false });
    expect(terminal.screen.at(-1)).toBe("");
    expect(terminal.screen.at(-2)).toContain("Ctrl-C stop");
  });

  test("gives the terminal back as it was, and prints the summary there", async () => {
    await start(run);
    await shows("200/200 done");
    await end();
    expect(terminal).toMatchObject({ alternate: false, cursorHidden: false, wraps: true });
    expect(keyboard.isRaw).toBe(false);
    expect(terminal.printed).toContain("\nfleet: ");
    expect(terminal.printed.startsWith("\nsite.ts\n")).toBe(true);
  });

  test("gives it back without a summary when the run broke off", async () => {
    await start(middle);
    await shows("volley site.ts");
    await reporter?.close();
    expect(terminal).toMatchObject({ alternate: false, cursorHidden: false, printed: "" });
    reporter = undefined;
  });

  test("keys: choose, open, next host, back, failed only, filter, help", async () => {
    await start(middle);
    await shows("volley site.ts");
    keyboard.write(DOWN);
    await shows(/❯/);
    keyboard.write(`${DOWN}${DOWN}${UP}`);
    await shows(/❯/);
    keyboard.write("\r");
    await shows("Esc back");
    const first = terminal.screen[0];
    keyboard.write(RIGHT);
    await vi.waitFor(() => expect(terminal.screen[0]).not.toBe(first), PATIENT);
    expect(terminal.screen[0]).toMatch(/web\d+/);
    keyboard.write(ESCAPE);
    await shows("1-18 of 200");
    keyboard.write("f");
    await shows(/\[failed only\]/);
    keyboard.write("f/web19");
    await shows("/web19_");
    keyboard.write("\r");
    await shows(/\[\/web19\]/);
    keyboard.write("?");
    await shows("any key goes back");
    keyboard.write("x");
    await shows(/\[\/web19\]/);
  });

  test("Ctrl-C asks for a stop every time it is pressed, and says what it does", async () => {
    await start(middle);
    await shows("volley site.ts");
    keyboard.write("\x03");
    await shows("stopping cleanly");
    expect(cancels).toBe(1);
    expect(terminal.alternate).toBe(true);
    keyboard.write("\x03");
    await shows("stopping now");
    expect(cancels).toBe(2);
  });

  test("is drawn anew for every size, never touching the last row", async () => {
    await start(middle);
    for (const [columns, rows] of [
      [120, 40],
      [60, 12],
      [200, 50],
      [30, 5],
      [80, 24],
    ] as const) {
      terminal.resize(columns, rows);
      await vi.waitFor(() => {
        expect(terminal.screen[rows - 2]).toMatch(/^(?:↑↓ choose .*)?\? help/);
        expect(terminal.screen[rows - 1]).toBe("");
        expect(Math.max(...terminal.screen.map((text) => text.length))).toBeLessThan(columns);
        expect(terminal.screen.filter((text) => text.startsWith("volley "))).toHaveLength(1);
      }, PATIENT);
    }
  });

  test("the screen is cleared when it is entered and resized, and never between frames", async () => {
    await start([]);
    for (const event of middle.slice(0, 2_000)) {
      reporter?.event(event);
      if (event.seq % 250 === 0) await new Promise((resolve) => setTimeout(resolve, 110));
    }
    expect(terminal.raw.split("\x1b[2J")).toHaveLength(2);
    expect(terminal.raw).not.toContain("\x1b[3J");
  });

  test("a line that stays the same is not written again", async () => {
    await start(
      stamp([runStart(["web1"]), { type: "host:connect", host: "web1", address: "a", port: 22, user: "u" }]),
    );
    await shows("connecting to u@a");
    reporter?.event({ type: "host:connected", host: "web1", elapsedMs: 5, seq: 9, time: 0 });
    await shows(/ connected /);
    expect(terminal.raw.split("Ctrl-C stop")).toHaveLength(2);
  });

  test("of a row only what differs is written", async () => {
    await start(stamp([runStart(["web1"])]));
    await shows("waiting for its turn");
    const before = terminal.raw.length;
    reporter?.event({
      type: "host:connect",
      host: "web1",
      address: "a",
      port: 22,
      user: "u",
      seq: 9,
      time: 0,
    });
    await shows("connecting to u@a");
    const written = terminal.raw.slice(before).replaceAll(SGR, "");
    expect(written).toContain("connecting to u@a");
    expect(written).not.toContain("site.ts");
    expect(written).not.toContain("doing");
    expect(written).not.toContain("choose");
  });

  test("a slow terminal gets the latest frame, not every one", async () => {
    const written: string[] = [];
    let release = (): void => {};
    const slow = new Writable({
      decodeStrings: false,
      highWaterMark: 1,
      write(chunk, _encoding, done) {
        written.push(String(chunk));
        release = () => {
          release = () => {};
          done();
        };
      },
    });
    const stdout = Object.assign(slow, { isTTY: true, columns: 80, rows: 24 });
    reporter = await createReporter("ink", {
      stdout: stdout as unknown as NodeJS.WriteStream,
      env,
      verbosity: 0,
      diff: false,
      onCancel: () => {},
    });
    const host = "web1";
    for (const event of stamp([runStart([host])])) reporter.event(event);
    // Ten frames' time, in which the terminal takes nothing in.
    for (let play = 0; play < 1_000; play++) {
      reporter.event({
        type: "play:start",
        host,
        index: 0,
        play: `frame ${play}`,
        total: 1,
        seq: play,
        time: 0,
      });
      if (play % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const drain = setInterval(() => release(), 1);
    await vi.waitFor(() => expect(written.join("")).toContain("frame 999"), PATIENT);
    await reporter.close();
    clearInterval(drain);
    reporter = undefined;
    expect(written.filter((text) => text.includes("frame ")).length).toBeLessThanOrEqual(2);
  });

  test("hosts cannot write to the terminal", async () => {
    const task = { task: 1, play: HOSTILE, role: HOSTILE, name: HOSTILE, action: HOSTILE };
    await start(
      stamp([
        runStart([HOSTILE, "web1"]),
        { type: "host:noise", host: HOSTILE, text: HOSTILE },
        { type: "task:start", host: HOSTILE, ...task },
        { type: "task:output", host: HOSTILE, task: 1, stream: "stderr", text: `${HOSTILE}\n` },
        {
          type: "task:end",
          host: HOSTILE,
          ...task,
          result: { state: "failed", error: { code: "ACTION_FAILED", message: HOSTILE, hint: HOSTILE } },
          elapsedMs: 1,
        },
      ]),
    );
    await shows(/日本語/);
    keyboard.write("\r");
    await shows("Esc back");
    await end();
    expect(terminal.raw).not.toContain("\x1b[31m\u202e");
    expect(terminal.raw).not.toContain("\x1b]");
  });

  test("without colours there are styles at most", async () => {
    await start(run, { ...env, NO_COLOR: "1" });
    await shows("200/200 done");
    await end();
    expect(terminal.raw).not.toMatch(/\[(?:\d+;)*3[1-7]m/);
  });

  test("a locale without UTF-8 gets signs in ASCII", async () => {
    await start(middle, { TERM: "xterm", LANG: "C" });
    await shows("volley site.ts");
    expect(terminal.screen.join("")).toMatch(/^[\x20-\x7e]*$/);
  });

  test("keys that come in one go are all taken, and what they change is all drawn", async () => {
    await start(middle);
    await shows("1-18 of 200");
    keyboard.write("/web001?");
    await shows("/web001?_");
    keyboard.write("\x7f\r");
    await shows("[/web001]");
    expect(terminal.screen.filter((text) => /web\d+/.test(text) && !text.includes("[/"))).toHaveLength(1);
    keyboard.write("\x1b");
    await shows("1-18 of 200");
    expect(terminal.screen.filter((text) => / web\d+ /.test(text))).toHaveLength(18);
  });

  test("plain lines take over should the UI fail", async () => {
    keyboard.setRawMode = () => {
      throw new Error("no raw mode\x1b[2J");
    };
    await start(run.slice(0, 1));
    await vi.waitFor(() => expect(terminal.printed).toContain("site.ts on 200 hosts"), PATIENT);
    for (const event of run.slice(1)) reporter?.event(event);
    events = run;
    await end();
    expect(terminal.printed).toContain("the terminal UI failed (no raw mode): plain output from here on\n");
    expect(terminal.printed).toContain("web001  changed ");
    expect(terminal.printed).toContain("\nfleet: ");
    expect(terminal.alternate).toBe(false);
  });

  test("a terminal without a keyboard is drawn on all the same", async () => {
    reporter = await createReporter("ink", {
      stdout: terminal.stream,
      env,
      verbosity: 0,
      diff: false,
      onCancel: () => {},
    });
    reporter.event(stamp([runStart(["web1"])])[0] as Event);
    await shows("web1");
  });
});
