import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { make } from "../../../src/actions/source/make.ts";
import { withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(join(sandbox.root, "src"));
  return () => sandbox[Symbol.dispose]();
});

/** Makes `made` of the variables it is given; `broken` fails. */
const TOOLS = {
  gmake: null,
  make: `case "$*" in
*broken*--question*) exit 2;;
*broken*) echo "no rule" >&2; exit 2;;
*--question*) [ -e $ROOT/src/made ];;
*) echo building; echo "$*" > $ROOT/src/made;;
esac`,
};

describe("make", () => {
  it("runs a target until make says that it is up to date", async () => {
    const { system } = withTools(sandbox, TOOLS);
    const call = make({ chdir: "/src", target: "install", params: { PREFIX: "/opt", QUIET: null }, jobs: 2 });
    const { first, second } = await checkApplyAgain({ ...sandbox, system }, call);
    expect(readFileSync(join(sandbox.root, "src/made"), "utf8")).toBe("-j 2 install PREFIX=/opt QUIET\n");
    expect(first.data).toMatchObject({
      command: "make -j 2 install PREFIX=/opt QUIET",
      target: "install",
      rc: 0,
      stdout: "building\n",
    });
    expect(second.data).toMatchObject({ chdir: "/src", file: null, jobs: 2 });
  });

  it("tells why make failed, and where it cannot run", async () => {
    const { system } = withTools(sandbox, TOOLS);
    const run = (given: Parameters<typeof make>[0], on = system) => pass(make(given), on, sandbox.context());
    await expect(run({ chdir: "/src", target: "broken" })).rejects.toThrow("make failed: no rule");
    writeFileSync(join(sandbox.root, "file"), "");
    await expect(run({ chdir: "/file" })).rejects.toThrow("there is no directory /file to run make in");
    await expect(run({ chdir: "/src", make: "nmake" })).rejects.toThrow("there is no nmake on this host");
    expect(() => make({ chdir: "/src", target: "a", targets: ["b"] })).toThrow(
      "give target or targets, not both",
    );
  });
});
