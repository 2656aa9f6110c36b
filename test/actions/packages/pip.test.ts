import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { pip } from "../../../src/actions/packages/pip.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { makeSandbox, pass, testsWorkDirectly } from "../harness.ts";

describe("pip's parameters", () => {
  it.each([
    [{ executable: "pip3" }, /one of the following is required: name, requirements/],
    [{ name: "six", requirements: "r.txt" }, /mutually exclusive: name\|requirements/],
    [{ name: "six", executable: "pip3", virtualenv: "/v" }, /mutually exclusive: executable\|virtualenv/],
    [{ name: "six", version: "1", state: "latest" as const }, /version is incompatible/],
    [{ name: "a,b", version: "1" }, /'version' argument is ambiguous/],
    [{ name: "six>1", version: "2" }, /the 'version' argument conflicts/],
  ])("refuses %j", (given, message) => expect(() => pip(given)).toThrow(message));

  it("are split at commas, but specifiers and extras are not", () => {
    const call = pip({ name: ["six>=1,<2,requests[socks,security]", "git+https://x.example.org/y#egg=y"] });
    expect(call.params.name).toEqual([
      "six>=1,<2",
      "requests[socks,security]",
      "git+https://x.example.org/y#egg=y",
    ]);
    expect(pip({ name: "six", version: "" }).params.version).toBe("");
  });
});

/** A wheel of one module, as pip takes it from a directory. */
const WHEEL = `
import sys, zipfile
folder, name, version = sys.argv[1:]
info = f"{name}-{version}.dist-info"
with zipfile.ZipFile(f"{folder}/{name}-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr(f"{name}.py", "")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: volley\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
`;

const hasVenv = spawnSync("python3", ["-c", "import venv, ensurepip"]).status === 0;

// Real pip in an environment of its own. Over a connection it would be the same pip once more.
describe.runIf(hasVenv && !testsWorkDirectly())("pip in a virtual environment", () => {
  it("makes it, installs, upgrades and removes", async () => {
    using sandbox = makeSandbox();
    const directory = mkdtempSync(join(tmpdir(), "volley-pip-"));
    try {
      for (const version of ["1.0", "1.1"])
        execFileSync("python3", ["-c", WHEEL, directory, "volley_test", version]);
      writeFileSync(join(directory, "requirements.txt"), "volley-test==1.0\n");
      const system = createLocalSystem();
      const base = {
        virtualenv: "venv",
        chdir: directory,
        virtualenv_command: "python3 -m venv",
        extra_args: `--no-index --find-links ${directory}`,
      };
      const run = (given: object, check = false) =>
        pass(pip({ ...base, ...given } as Parameters<typeof pip>[0]), system, sandbox.context({ check }));

      const old = { name: "Volley.Test", version: "1.0" };
      expect((await run(old, true)).state).toBe("changed");
      const first = await run(old);
      expect(first.state).toBe("changed");
      expect(first.data).toMatchObject({ name: ["Volley.Test"], version: "1.0", virtualenv: "venv" });
      expect(first.data?.stdout).toContain("Successfully installed");
      expect((await run(old)).state).toBe("unchanged");
      expect((await run({ name: "volley-test<1.1" })).state).toBe("unchanged");
      expect((await run({ name: "volley-test>1.0" }, true)).state).toBe("changed");
      expect((await run({ name: "volley-test", state: "latest" })).state).toBe("changed");
      expect((await run({ name: "volley-test", state: "latest" })).state).toBe("unchanged");
      expect((await run({ requirements: "requirements.txt", umask: "0022" })).state).toBe("changed");
      expect((await run({ requirements: "requirements.txt" })).state).toBe("unchanged");
      const gone = { name: "volley_test", state: "absent", extra_args: "" };
      expect((await run(gone)).state).toBe("changed");
      expect((await run(gone)).state).toBe("unchanged");
      await expect(run({ name: "volley-nothing" })).rejects.toMatchObject({
        message: expect.stringContaining("No matching distribution found"),
        data: { name: ["volley-nothing"], stderr: expect.stringContaining("No matching") },
      });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
