import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { replace } from "../../../src/actions/edit/replace.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

type Params = Omit<Parameters<typeof replace>[0], "path">;

const path = "/etc/conf";
let sandbox: Sandbox;
const at = (below: string): string => join(sandbox.root, below);
const run = (params: Params, check = false) =>
  pass(replace({ path, ...params }), sandbox.system, sandbox.context({ check }));

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc"));
});
afterEach(() => sandbox[Symbol.dispose]());

// Expected values: the results of Python's re.sub with re.MULTILINE.
describe("changes", () => {
  const cases: readonly (readonly [name: string, before: string, params: Params, after: string])[] = [
    ["every match", "a b a\na\n", { regexp: "a", replace: "x" }, "x b x\nx\n"],
    ["whole lines", "a=1\nb=1\n", { regexp: "^(\\w)=1$", replace: "\\1=2" }, "a=2\nb=2\n"],
    ["to nothing without replace", "#a\nb\n", { regexp: "^#.*\\n" }, "b\n"],
    [
      "groups by name",
      "k v\n",
      { regexp: "(?P<key>k) (?P<value>v)", replace: "\\g<value> \\g<key>" },
      "v k\n",
    ],
    ["only after", "a\nSTART\na\na\n", { regexp: "a", replace: "x", after: "START" }, "a\nSTART\nx\nx\n"],
    [
      "only before the last",
      "a\nEND\na\nEND\na\n",
      { regexp: "^a", replace: "x", before: "END" },
      "x\nEND\nx\nEND\na\n",
    ],
    [
      "only between",
      "a\n<x>\na\n</x>\na\n</x>\n",
      { regexp: "a", replace: "b", after: "<x>", before: "</x>" },
      "a\n<x>\nb\n</x>\na\n</x>\n",
    ],
    [
      "between, with groups in after",
      "a\ns1\na\n",
      { regexp: "a", replace: "b", after: "(s)(\\d)" },
      "a\ns1\nb\n",
    ],
    ["words of any script", "größe=1\n", { regexp: "\\b(\\w+)=1", replace: "\\1=2" }, "größe=2\n"],
    ["dollar signs as they are", "a\n", { regexp: "a", replace: "$&$1" }, "$&$1\n"],
  ];
  it.each(cases)("%s", async (_name, before, params, after) => {
    writeFileSync(at("etc/conf"), before);
    const check = await run(params, true);
    expect(readFileSync(at("etc/conf"), "utf8")).toBe(before);
    expect(check.change?.diff).toEqual({ path, before, after });
    expect((await run(params)).state).toBe("changed");
    expect(readFileSync(at("etc/conf"), "utf8")).toBe(after);
  });
});

it("changes nothing once its expression matches no more, or only itself", async () => {
  writeFileSync(at("etc/conf"), "old\n");
  await checkApplyAgain(sandbox, replace({ path, regexp: "^old$", replace: "new" }));
  expect((await run({ regexp: "^new$", replace: "new" })).state).toBe("unchanged");
  const apart = await run({ regexp: "new", replace: "x", after: "nowhere" });
  expect([apart.state, apart.inspected?.message]).toEqual(["unchanged", "after and before do not match"]);
});

it("fails for a missing file, and in check mode does not know", async () => {
  await expect(run({ regexp: "a" })).rejects.toThrow("Path /etc/conf does not exist !");
  expect((await run({ regexp: "a" }, true)).state).toBe("unknown");
});

it("names wrong parameters", () => {
  // @ts-expect-error a parameter that is missing
  expect(() => replace({ path })).toThrow('parameter "regexp" is required');
});
