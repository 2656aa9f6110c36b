import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apt } from "../../../src/actions/debian/apt.ts";
import { controlEnd } from "../../../src/actions/debian/deb-file.ts";
import { makeSandbox, pass, type Sandbox } from "../harness.ts";

const isDebian = spawnSync("dpkg-deb", ["--version"]).status === 0;

function makeDeb({ root }: Sandbox): Buffer {
  mkdirSync(join(root, "made/DEBIAN"), { recursive: true });
  writeFileSync(
    join(root, "made/DEBIAN/control"),
    "Package: volley-test\nVersion: 1.5\nArchitecture: all\nMaintainer: Volley <v@example.org>\nDescription: x\n",
  );
  writeFileSync(join(root, "made/large"), Buffer.alloc(100_000, "x"));
  const file = join(root, "made.deb");
  execFileSync("dpkg-deb", ["--build", "--root-owner-group", join(root, "made"), file]);
  return readFileSync(file);
}

describe.runIf(isDebian)("a package file of a web server", () => {
  it.each([
    ["1.5", "unchanged"],
    ["1.4", "changed"],
    ["1.5-2", "failed"],
  ])("is known by its beginning: with %s installed it is %s", async (version, expected) => {
    using sandbox = makeSandbox();
    mkdirSync(join(sandbox.root, "var/lib/dpkg"), { recursive: true });
    writeFileSync(
      join(sandbox.root, "var/lib/dpkg/status"),
      `Package: volley-test\nStatus: install ok installed\nArchitecture: all\nVersion: ${version}\n`,
    );
    const deb = makeDeb(sandbox);
    const server = createServer((_request, response) => response.end(deb)).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const call = apt({ deb: `http://127.0.0.1:${port}/made.deb` });
      const context = sandbox.context({ check: true });
      if (expected === "failed") {
        await expect(call.inspect(sandbox.system, sandbox.context())).rejects.toThrow(
          /A later version is already installed/,
        );
      } else {
        const { state, change } = await pass(call, sandbox.system, context);
        expect(state).toBe(expected);
        if (state === "changed") expect(change?.message).toBe("1 to upgrade");
      }
    } finally {
      server.close();
    }
  });

  it("has its control archive at the beginning", () => {
    using sandbox = makeSandbox();
    const deb = makeDeb(sandbox);
    const end = controlEnd(deb)!;
    expect(end).toBeLessThan(deb.length);
    // As more and more of the file comes, the length asked for grows to the end of the control archive.
    expect(controlEnd(deb.subarray(0, 10))).toBe(68);
    expect(controlEnd(deb.subarray(0, end - 1))).toBe(end);
    expect(controlEnd(Buffer.from("<html>not found</html>"))).toBeNull();
  });
});
