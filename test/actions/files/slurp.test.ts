import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { slurp } from "../../../src/actions/files/slurp.ts";
import { makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;

beforeEach(() => {
  sandbox = makeSandbox();
  writeFileSync(join(sandbox.root, "f"), Uint8Array.of(0x68, 0xff, 0));
  symlinkSync("f", join(sandbox.root, "link"));
  mkdirSync(join(sandbox.root, "d"));
});
afterEach(() => sandbox[Symbol.dispose]());

it.each(["/f", "/link"])("reads %s, in check mode too", async (src) => {
  for (const check of [true, false]) {
    const { state, data } = await pass(slurp({ src }), sandbox.system, sandbox.context({ check }));
    expect(state).toBe("unchanged");
    expect(data).toEqual({ content: "aP8A", encoding: "base64", source: src });
  }
});

it("fails where there is no file", async () => {
  const read = (src: string) => pass(slurp({ src }), sandbox.system, sandbox.context());
  await expect(read("/nope")).rejects.toThrow("file not found: /nope");
  await expect(read("/d")).rejects.toThrow("source is a directory and must be a file: /d");
  await expect(read("/f/x")).rejects.toThrow("unable to slurp file: /f is a file, not a directory");
});

it.skipIf(process.getuid!() === 0)("fails where it may not read", async () => {
  chmodSync(join(sandbox.root, "d"), 0);
  chmodSync(join(sandbox.root, "f"), 0);
  for (const src of ["/d", "/f"])
    await expect(pass(slurp({ src }), sandbox.system, sandbox.context())).rejects.toThrow(
      `file is not readable: ${src}`,
    );
  chmodSync(join(sandbox.root, "d"), 0o700);
});
