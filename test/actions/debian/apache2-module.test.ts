import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { apache2_module } from "../../../src/actions/debian/apache2-module.ts";
import { failureData } from "../../../src/core/action.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
let tools: Tools;

/** As Debian's tools: links in mods-enabled, one module of processes, a word of warning for some modules. */
const ENABLED = "$ROOT/etc/apache2/mods-enabled";
const SCRIPTS = {
  apache2ctl: `if ! ls ${ENABLED} | grep -q mpm_; then echo "AH00534: apache2: Configuration error: No MPM loaded." >&2; exit 1; fi
echo "Loaded Modules:"; echo " so_module (static)"
for f in ${ENABLED}/*.load; do sed -n "s/^LoadModule \\([a-z_]*\\) .*/ \\1 (shared)/p" $f; done`,
  a2enmod: `[ -e $ROOT/etc/apache2/mods-available/$1.load ] || { echo "ERROR: Module $1 does not exist!" >&2; exit 1; }
cp $ROOT/etc/apache2/mods-available/$1.load ${ENABLED}/; echo "Enabling module $1."`,
  a2dismod: `[ "$1" = -f ] && shift || [ "$1" != autoindex ] || { echo "Aborting" >&2; exit 1; }
rm -f ${ENABLED}/$1.load; echo "Module $1 disabled."`,
};

beforeEach(() => {
  sandbox = makeSandbox();
  for (const folder of ["mods-available", "mods-enabled"])
    mkdirSync(join(sandbox.root, "etc/apache2", folder), { recursive: true });
  const put = (name: string, identifier: string, folders: readonly string[]): void => {
    for (const folder of folders)
      writeFileSync(
        join(sandbox.root, `etc/apache2/${folder}/${name}.load`),
        `# Depends: nothing\nLoadModule ${identifier} /usr/lib/apache2/modules/mod_${name}.so\n`,
      );
  };
  put("rewrite", "rewrite_module", ["mods-available"]);
  put("dump_io", "dumpio_module", ["mods-available"]);
  for (const name of ["mpm_event", "autoindex"])
    put(name, `${name}_module`, ["mods-available", "mods-enabled"]);
  tools = withTools(sandbox, SCRIPTS);
  return () => sandbox[Symbol.dispose]();
});

const host = (): Sandbox => ({ ...sandbox, system: tools.system });
const run = (call: ReturnType<typeof apache2_module>, check = false) =>
  pass(call, tools.system, sandbox.context({ check }));
const isEnabled = (name: string): boolean =>
  existsSync(join(sandbox.root, `etc/apache2/mods-enabled/${name}.load`));

describe("apache2_module", () => {
  it("enables a module", async () => {
    const { check, first } = await checkApplyAgain(host(), apache2_module({ name: "rewrite" }));
    expect(check.change?.diff).toEqual({
      path: "apache module rewrite",
      attributes: { state: ["absent", "present"] },
    });
    expect(first.data).toEqual({ result: "Module rewrite enabled" });
    expect(isEnabled("rewrite")).toBe(true);
  });

  it("knows what Apache calls a module by the file that loads it", async () => {
    await checkApplyAgain(host(), apache2_module({ name: "dump_io" }));
    expect(isEnabled("dump_io")).toBe(true);
  });

  it("disables a module, by force where Debian warns of it", async () => {
    const careful = run(apache2_module({ name: "autoindex", state: "absent" }));
    await expect(careful).rejects.toThrow(/^Failed to set module autoindex to disabled: Aborting/);
    await checkApplyAgain(host(), apache2_module({ name: "autoindex", state: "absent", force: true }));
    expect(tools.calls()).toContain("a2dismod -f autoindex");
  });

  it("says why a module cannot be enabled", async () => {
    const thrown = await run(apache2_module({ name: "none" })).catch((error: unknown) => error);
    expect((thrown as Error).message).toMatch(/^Failed to set module none to enabled: .*does not exist/);
    expect(failureData(thrown)).toMatchObject({ rc: 1, stdout: "" });
    await expect(run(apache2_module({ name: "rewrite", identifier: "other_module" }))).rejects.toThrow(
      /does not list it as other_module; set identifier/,
    );
  });

  it("goes on without a module of processes only when told so", async () => {
    const given = { name: "mpm_event", state: "absent" } as const;
    await expect(run(apache2_module(given))).rejects.toThrow(/^Error executing apache2ctl: .*No MPM loaded/);
    expect((await run(apache2_module({ ...given, ignore_configcheck: true }))).state).toBe("unchanged");
  });

  it("needs Apache, and cannot know in check mode whether a task brings it", async () => {
    const { system } = withTools(sandbox, { apache2ctl: null, apachectl: null });
    const call = apache2_module({ name: "rewrite" });
    await expect(pass(call, system, sandbox.context())).rejects.toThrow(/no apache2ctl.*package apache2/);
    expect(await call.inspect(system, sandbox.context({ check: true }))).toMatchObject({
      unknown: expect.stringMatching(/package apache2/),
    });
  });
});
