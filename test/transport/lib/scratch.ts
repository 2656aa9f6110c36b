import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";

/** A directory of a test file's own, with a home of the tests' own in it. */
export interface Scratch {
  /** Write a file below the directory, which is made anew for every test. */
  write(name: string, text: string, mode?: number): string;
  path(name: string): string;
}

/** Give a test file a directory of its own, and keep the real home, its agent and its keys out of the tests. */
export function scratchHome(): Scratch {
  let root = "";
  let directory = "";
  const before = new Map<string, string | undefined>();
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "volley-reach-"));
    for (const name of [
      "HOME",
      "XDG_CACHE_HOME",
      "XDG_STATE_HOME",
      "XDG_RUNTIME_DIR",
      "SSH_AUTH_SOCK",
      "KRB5CCNAME",
    ])
      before.set(name, process.env[name]);
    delete process.env.XDG_RUNTIME_DIR;
    delete process.env.SSH_AUTH_SOCK;
    delete process.env.KRB5CCNAME;
  });
  beforeEach(() => {
    directory = mkdtempSync(join(root, "t-"));
    Object.assign(process.env, {
      HOME: join(directory, "home"),
      XDG_CACHE_HOME: join(directory, "cache"),
      XDG_STATE_HOME: join(directory, "state"),
    });
    mkdirSync(join(directory, "home", ".ssh"), { recursive: true, mode: 0o700 });
  });
  afterEach(() => {
    delete process.env.SSH_AUTH_SOCK;
  });
  afterAll(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    rmSync(root, { recursive: true, force: true });
  });
  const path = (name: string): string => join(directory, name);
  return {
    path,
    write: (name, text, mode = 0o600) => {
      mkdirSync(dirname(path(name)), { recursive: true });
      writeFileSync(path(name), text, { mode });
      return path(name);
    },
  };
}
