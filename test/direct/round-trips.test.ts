import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blockinfile } from "../../src/actions/edit/blockinfile.ts";
import { lineinfile } from "../../src/actions/edit/lineinfile.ts";
import { copy } from "../../src/actions/files/copy.ts";
import { file } from "../../src/actions/files/file.ts";
import { template } from "../../src/actions/files/template.ts";
import { command } from "../../src/actions/system/command.ts";
import { type ActionCall, createMemo } from "../../src/core/action.ts";
import { quote } from "../../src/core/unix/shell.ts";
import { createDirectSystem, type DirectSystem } from "../../src/direct/direct-system.ts";
import { openShells, type Shells } from "../../src/direct/shell.ts";
import { createSessions } from "../../src/transport/sessions.ts";
import type { FileSession } from "../../src/transport/transport.ts";
import { makeSandbox, pass, type Sandbox } from "../actions/harness.ts";
import { type DirectHost, startDirectHost } from "./lib/host.ts";

let host: DirectHost;
let root: string;
let system: DirectSystem;
let sandbox: Sandbox;
/** How many answers, one after the other, had to be waited for so far. */
let waited = 0;

/** A request takes one round trip from when it is made; those made at once take it together. */
async function counted<T>(asking: Promise<T>, roundTrips = 1): Promise<T> {
  const from = waited;
  try {
    return await asking;
  } finally {
    waited = Math.max(waited, from + roundTrips);
  }
}

function countFiles(files: FileSession): FileSession {
  return new Proxy(files, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function" || name === "end") return value;
      // A directory is opened, read and closed.
      const roundTrips = name === "list" ? 3 : 1;
      return (...given: readonly unknown[]) =>
        counted((value as (...args: unknown[]) => Promise<unknown>).apply(target, [...given]), roundTrips);
    },
  });
}

/** A shell is ready: it takes a line and answers. */
function countShells(shells: Shells): Shells {
  return {
    close: shells.close,
    signal: shells.signal,
    run: async (line, onBytes) => {
      const run = await shells.run(line, onBytes);
      return { ...run, exit: counted(run.exit) };
    },
  };
}

beforeAll(async () => {
  host = await startDirectHost();
  root = mkdtempSync(join(tmpdir(), "volley-trips-"));
  mkdirSync(join(root, "srv"));
  const { signal } = new AbortController();
  const { connection } = host;
  const start = (script: string) => connection.exec(`exec sh -c ${quote(script)}`, signal);
  const { shells, user } = await openShells(start, createSessions("web01"));
  const files = countFiles(await connection.files(signal));
  system = createDirectSystem({ files, shells: countShells(shells), user, forward: undefined, root });
  sandbox = makeSandbox();
  mkdirSync(join(sandbox.role, "templates"));
  writeFileSync(join(sandbox.role, "templates/t.j2"), "a template\n");
});
afterAll(async () => {
  await system.close();
  sandbox[Symbol.dispose]();
  await host.stop();
  rmSync(root, { recursive: true });
});

/** Lives as long as a run: the names of users and groups are read once for all actions. */
const memo = createMemo();

async function roundTripsOf(call: ActionCall, state: "changed" | "unchanged"): Promise<number> {
  system.forget();
  const before = waited;
  expect((await pass(call, system, { ...sandbox.context(), memo })).state).toBe(state);
  return waited - before;
}

test("what an action waits for: at most three round trips where nothing is to be done, five where something is", async () => {
  const calls: Readonly<Record<string, ActionCall>> = {
    directory: file({ path: "/srv/d", state: "directory", mode: "0755" }),
    copy: copy({ content: "content\n", dest: "/srv/d/copied", mode: "0644" }),
    template: template({ src: "t.j2", dest: "/srv/d/rendered" }),
    lineinfile: lineinfile({ path: "/srv/d/line", line: "x", create: true }),
    blockinfile: blockinfile({ path: "/srv/d/block", block: "x\n", create: true }),
    command: command({ cmd: "true", creates: "/srv/d/never" }),
  };
  const first: Record<string, number> = {};
  const again: Record<string, number> = {};
  for (const [name, call] of Object.entries(calls)) first[name] = await roundTripsOf(call, "changed");
  for (const [name, call] of Object.entries(calls))
    if (name !== "command") again[name] = await roundTripsOf(call, "unchanged");
  // On a busy machine two answers may come at once, and count as one.
  const beyond = (counts: Readonly<Record<string, number>>, most: Readonly<Record<string, number>>) =>
    Object.entries(most).filter(([name, limit]) => !(counts[name]! <= limit));
  // The first of each waits for the names of users and groups too, the second time since a command may change them.
  expect(beyond(again, { directory: 2, copy: 3, template: 3, lineinfile: 3, blockinfile: 3 })).toEqual([]);
  // What has been done is looked at once more: Ansible's results tell of it.
  expect(
    beyond(first, { directory: 4, copy: 5, template: 5, lineinfile: 5, blockinfile: 5, command: 2 }),
  ).toEqual([]);
});
