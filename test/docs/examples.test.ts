import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { transform } from "esbuild";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import * as controller from "../../src/controller.ts";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import * as volley from "../../src/index.ts";
import * as testing from "../../src/testing.ts";
import { EXAMPLE_PAGES, type Example, examplesOf, hasFleet } from "./examples.ts";

const HOSTS = ["web1", "web2", "db1"];
const AsyncFunction: new (...args: string[]) => (...args: unknown[]) => Promise<void> = (async () => {})
  .constructor as never;

let embedded: EmbeddedFleet;
let directory: string;
const said: string[] = [];

beforeAll(async () => {
  vi.stubEnv("DB_PASSWORD", "correct horse");
  embedded = await startEmbeddedFleet({ count: HOSTS.length, names: (index) => HOSTS[index]! });
  directory = mkdtempSync(join(tmpdir(), "volley-examples-"));
  const vars = `  vars: { region: north }\n`;
  const groups = { web: ["web1", "web2"], db: ["db1"], prod: HOSTS };
  const children = Object.entries(groups).map(
    ([name, hosts]) => `    ${name}: { hosts: { ${hosts.map((host) => `${host}: null`).join(", ")} } }\n`,
  );
  writeFileSync(
    join(directory, "inventory"),
    `${embedded.inventoryYaml()}${vars}  children:\n${children.join("")}`,
  );
  mkdirSync(join(directory, "dist"));
  for (const file of ["dist/index.html", "app.conf", "myfiles.tgz"])
    writeFileSync(join(directory, file), `${file}\n`);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await embedded.stop();
  rmSync(directory, { recursive: true, force: true });
  rmSync("/tmp/volley-docs", { recursive: true, force: true });
});

/**
 * Connect as the examples do, to the embedded hosts, without a background process that stays. They share a /tmp: one of
 * them works at a time.
 */
const connect: typeof controller.connect = (pattern, options = {}) => {
  const { port: _port, user: _user, persist: _persist, ...given } = options;
  const { knownHostsPath } = embedded;
  return controller.connect(pattern, {
    ...{
      forks: 1,
      sshConfig: "none",
      knownHostsFiles: [knownHostsPath],
      inventory: join(directory, "inventory"),
    },
    ...given,
    connectTimeoutMs: 60_000,
    cwd: directory,
  });
};

const NODE = ["fs", "path", "stream/consumers"];

/** Run an example with what it imports, a fleet of all hosts, and a console of the test's own. */
async function runExample({ code, file }: Example): Promise<void> {
  const { code: script } = await transform(code, { loader: "ts", format: "esm", target: "node20" });
  const modules: Record<string, unknown> = {
    volley,
    "volley/controller": { ...controller, connect },
    "volley/testing": testing,
  };
  for (const name of NODE) modules[`node:${name}`] = await import(/* @vite-ignore */ `node:${name}`);
  const body = script.replace(
    /^import \{([^}]*)\} from "([^"]+)";$/gm,
    (_line, names: string, module: string) =>
      `const {${names.replaceAll(" as ", ": ")}} = modules["${module}"];`,
  );
  const sink = new PassThrough().resume();
  sink.on("data", (chunk: Buffer) => said.push(chunk.toString()));
  const log = (...values: readonly unknown[]): void => void said.push(values.map(String).join(" "));
  const own = { env: process.env, stdout: sink, stderr: sink };
  const run = new AsyncFunction(
    "modules",
    "fleet",
    "console",
    "process",
    `{${body}\n}\n//# sourceURL=${file}`,
  );
  const fleet = hasFleet(code) ? undefined : await connect("all");
  try {
    await run(modules, fleet, { log, error: log }, own);
  } finally {
    await fleet?.close();
  }
}

describe.each(EXAMPLE_PAGES)("the examples of %s", (page) => {
  const examples = examplesOf(page);

  it.each(examples.filter(({ notRun }) => notRun === undefined))(
    "$file does what it says",
    async (example) => {
      said.length = 0;
      await runExample(example);
      // The output that a comment behind a line tells is printed.
      const expected = [...example.code.matchAll(/^.*console\.\w+\(.*\);\s*\/\/ (.+)$/gm)].map(
        ([, text]) => text!,
      );
      for (const text of expected) expect(said.join("\n")).toContain(text.replace(/ \{.*/, ""));
    },
  );

  it("are few that are only compiled, each for a reason", () => {
    const compiled = examples.filter(({ notRun }) => notRun !== undefined);
    expect(compiled.length).toBeLessThan(examples.length / 2);
  });
});
