import { existsSync, mkdirSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { alternatives } from "../../../src/actions/system/alternatives.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
let tools: Tools;
const at = (path: string): string => join(sandbox.root, path);
const TOOL = "/usr/bin/update-alternatives";

/** Debian's own program, on the sandbox. */
const ON_ROOT = { "update-alternatives": `exec ${TOOL} --root "$ROOT" --log /dev/null "$@"` };

beforeEach(() => {
  sandbox = makeSandbox();
  for (const path of ["opt/a", "opt/b", "opt/a.1", "opt/b.1"]) {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), "", { mode: 0o755 });
  }
  for (const path of ["usr/bin", "usr/share/man", "etc/alternatives", "var/lib/dpkg/alternatives"])
    mkdirSync(at(path), { recursive: true });
  tools = withTools(sandbox, ON_ROOT);
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof alternatives>[0];
const host = (): Sandbox => ({ ...sandbox, system: tools.system });
const run = (params: Params, check = false) =>
  pass(alternatives(params), tools.system, sandbox.context({ check }));
const chosen = (): string => readlinkSync(at("etc/alternatives/tool"));
const NEW = { name: "tool", link: "/usr/bin/tool" } as const;
const changes = (): readonly string[] =>
  tools.calls().filter((call) => !call.includes("--query") && !call.includes("--display"));

describe.runIf(existsSync(TOOL))("alternatives", () => {
  it("makes a group, and chooses", async () => {
    await checkApplyAgain(host(), alternatives({ ...NEW, path: "/opt/a" }));
    expect(chosen()).toBe("/opt/a");
    expect(changes()).toEqual([
      "update-alternatives --install /usr/bin/tool tool /opt/a 50",
      "update-alternatives --set tool /opt/a",
    ]);
    await checkApplyAgain(host(), alternatives({ name: "tool", path: "/opt/b", priority: 10 }));
    expect(chosen()).toBe("/opt/b");
  });

  it("makes an alternative possible, and leaves the choice", async () => {
    await run({ ...NEW, path: "/opt/a" });
    await checkApplyAgain(
      host(),
      alternatives({ name: "tool", path: "/opt/b", priority: 99, state: "present" }),
    );
    expect(chosen()).toBe("/opt/a");
  });

  it("goes back to the automatic choice", async () => {
    await run({ ...NEW, path: "/opt/a", priority: 5 });
    await checkApplyAgain(
      host(),
      alternatives({ name: "tool", path: "/opt/b", priority: 99, state: "auto" }),
    );
    expect(chosen()).toBe("/opt/b");
  });

  it("changes a priority and keeps the links that follow", async () => {
    const subcommands = [{ name: "tool.1", link: "/usr/share/man/tool.1", path: "/opt/a.1" }];
    await checkApplyAgain(host(), alternatives({ ...NEW, path: "/opt/a", subcommands }));
    expect(readlinkSync(at("etc/alternatives/tool.1"))).toBe("/opt/a.1");
    const { check } = await checkApplyAgain(
      host(),
      alternatives({ name: "tool", path: "/opt/a", priority: -7 }),
    );
    expect(check.change?.diff).toEqual({ path: "alternatives tool", attributes: { priority: ["50", "-7"] } });
    expect(readlinkSync(at("etc/alternatives/tool.1"))).toBe("/opt/a.1");
    await checkApplyAgain(host(), alternatives({ name: "tool", path: "/opt/a", subcommands: [] }));
    expect(existsSync(at("usr/share/man/tool.1"))).toBe(false);
  });

  it("removes an alternative", async () => {
    await run({ ...NEW, path: "/opt/a" });
    await run({ name: "tool", path: "/opt/b" });
    await checkApplyAgain(host(), alternatives({ name: "tool", path: "/opt/b", state: "absent" }));
    expect(chosen()).toBe("/opt/a");
    expect((await run({ name: "none", path: "/opt/b", state: "absent" })).state).toBe("unchanged");
  });

  it("needs the link of a new group, and the file", async () => {
    await expect(run({ name: "tool", path: "/opt/a" })).rejects.toThrow(/give the link, too/);
    await expect(run({ ...NEW, path: "/opt/none" })).rejects.toThrow(/\/opt\/none does not exist/);
    expect((await run({ ...NEW, path: "/opt/none" }, true)).state).toBe("unknown");
  });
});

describe("alternatives, with Red Hat's program", () => {
  it("reads what it displays", async () => {
    const { system } = withTools(sandbox, {
      "update-alternatives": `[ "$1" = --display ] || exit 2
cat <<'END'
java - status is manual.
 link currently points to /opt/a
/opt/a - family openjdk priority 1800
 follower jre: /opt/a.1
/opt/b - priority 10
Current \`best' version is /opt/b.
END`,
    });
    const call = (params: Partial<Params>) =>
      pass(alternatives({ name: "java", ...params }), system, sandbox.context({ check: true }));
    expect((await call({ path: "/opt/a" })).state).toBe("unchanged");
    expect((await call({ family: "openjdk", priority: 1800 })).state).toBe("unchanged");
    expect((await call({ path: "/opt/b" })).change?.diff).toEqual({
      path: "alternatives java",
      attributes: { selected: ["/opt/a", "/opt/b"] },
    });
    expect((await call({ path: "/opt/b", state: "auto" })).change?.diff).toMatchObject({
      attributes: { mode: ["manual", "auto"] },
    });
    await expect(call({ family: "other" })).rejects.toThrow(/no alternative of java has the family other/);
  });
});
