import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import type { HostResult } from "../../../src/fanout/exec/fan-out.ts";
import { createFold, type Fold, openOutDirectory, STATUS_FILE } from "../../../src/fanout/exec/outputs.ts";
import { fleetStarter, run } from "../fleet.ts";

const start = fleetStarter();
const temporary = mkdtempSync(join(tmpdir(), "volley-fold-"));
afterEach(() => {
  for (const name of readdirSync(temporary)) rmSync(join(temporary, name), { recursive: true });
});

function resultOf(host: string, more: Partial<HostResult> = {}): HostResult {
  return {
    host,
    outcome: "ok",
    exit: { kind: "exited", code: 0 },
    error: undefined,
    elapsedMs: 1,
    stdoutBytes: 0,
    stderrBytes: 0,
    ...more,
  };
}

async function textOf(fold: Fold): Promise<readonly (readonly [string, string, string])[]> {
  return Promise.all(
    fold
      .groups()
      .map(
        async ({ hosts, stdout, stderr }) =>
          [hosts.join(), (await stdout.text(1e9)) ?? "", (await stderr.text(1e9)) ?? ""] as const,
      ),
  );
}

it("puts hosts together that ended the same way and printed the same, however it arrived", async () => {
  const fold = createFold();
  const { listener } = fold;
  const print = (host: string, stream: "stdout" | "stderr", ...texts: readonly string[]) =>
    Promise.all(texts.map((text) => listener.output(host, stream, Buffer.from(text))));
  await print("a", "stdout", "one\ntwo\n");
  await print("b", "stderr", "x\n");
  await print("b", "stdout", "one\n", "two\n");
  await print("c", "stdout", "one\n", "tw", "o\n");
  await print("d", "stdout", "one\ntwo\n");
  await listener.end(resultOf("b"));
  await listener.end(resultOf("c"));
  await listener.end(resultOf("a"));
  await listener.end(resultOf("d", { outcome: "failed", exit: { kind: "exited", code: 1 } }));
  await listener.end(resultOf("e"));
  expect(await textOf(fold)).toEqual([
    ["c,a", "one\ntwo\n", ""],
    ["b", "one\ntwo\n", "x\n"],
    ["d", "one\ntwo\n", ""],
    ["e", "", ""],
  ]);
  expect(await fold.groups()[0]?.stdout.text(3)).toBeUndefined();
  await fold.close();
});

it("puts groups of the same size in the order of their hosts, whichever answered first", async () => {
  const fold = createFold();
  const answers = ["web10", "web2", "db1", "web3", "web1"];
  for (const host of answers) {
    await fold.listener.output(host, "stdout", Buffer.from(host === "web3" ? "web10" : host));
    await fold.listener.end(resultOf(host));
  }
  expect((await textOf(fold)).map(([hosts]) => hosts)).toEqual(["web10,web3", "db1", "web1", "web2"]);
  await fold.close();
});

it("holds long outputs once, on disk, and in the end nowhere", async () => {
  const { hosts } = await start({ count: 4 });
  const spilled = (): readonly string[] =>
    readdirSync(tmpdir()).filter((name) => name.startsWith("volley-output-"));
  const before = spilled();
  const fold = createFold();
  const line = '[ "$VOLLEY_EMBEDDED_HOST" != web03 ] || echo odd; head -c 10000000 /dev/zero | tr "\\0" z';
  const { results } = await run(hosts, line, { listener: fold.listener });
  expect(results.map(({ stdoutBytes }) => stdoutBytes)).toEqual([1e7, 1e7, 1e7 + 4, 1e7]);
  const groups = await textOf(fold);
  expect(groups.map(([names, text]) => [names.split(",").sort().join(), text.length])).toEqual([
    ["web01,web02,web04", 1e7],
    ["web03", 1e7 + 4],
  ]);
  const [directory] = spilled().filter((name) => !before.includes(name));
  expect(readdirSync(join(tmpdir(), directory!))).toHaveLength(2);
  await fold.close();
  expect(existsSync(join(tmpdir(), directory!))).toBe(false);
});

it("a directory gets all that hosts print and how it went, instead of what an earlier run left", async () => {
  const { hosts } = await start({
    count: 3,
    faults: (index) => (index === 2 ? { kind: "refuse" } : undefined),
  });
  const path = join(temporary, "new", "out");
  const earlier = await openOutDirectory(path);
  await earlier.listener.output("web01", "stderr", Buffer.from("old\n"));
  await earlier.listener.output("web03", "stdout", Buffer.from("old\n"));
  await earlier.close();
  writeFileSync(join(path, "kept"), "");
  const directory = await openOutDirectory(path);
  await run(
    hosts,
    'head -c 3000000 /dev/zero | tr "\\0" y; [ "$VOLLEY_EMBEDDED_HOST" = web01 ] || { echo bad >&2; exit 3; }',
    { listener: directory.listener },
  );
  await directory.close();
  expect(readdirSync(path).sort()).toEqual([STATUS_FILE, "kept", "web01.out", "web02.err", "web02.out"]);
  expect(readFileSync(join(path, "web01.out"), "utf8")).toBe("y".repeat(3_000_000));
  expect(readFileSync(join(path, "web02.err"), "utf8")).toBe("bad\n");
  const status = readFileSync(join(path, STATUS_FILE), "utf8").trimEnd().split("\n").sort();
  expect(status.map((line) => line.replace(/\d+$/, "MS"))).toEqual([
    "web01\tok\t0\tMS",
    "web02\tfailed\t3\tMS",
    "web03\tunreachable\t\tMS",
  ]);
});

it("a directory that cannot be made is told before any host is touched", async () => {
  writeFileSync(join(temporary, "file"), "");
  const file = join(temporary, "file");
  await expect(openOutDirectory(file)).rejects.toMatchObject({
    code: "USAGE",
    message: `cannot write in ${file}: it is not a directory`,
  });
  await expect(openOutDirectory(join(file, "out"))).rejects.toMatchObject({
    code: "USAGE",
    message: `cannot write in ${file}/out: its path leads through a file`,
  });
});
