import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { cronvar } from "../../../src/actions/system/cronvar.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

const CRONTAB = `# note
A=1
B = "two words"
C='sq'
* * * * * root echo X=1

E=a b
`;

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc/cron.d"), { recursive: true });
  writeFileSync(at("etc/passwd"), "root:x:0:0::/root:/bin/sh\n");
  return () => sandbox[Symbol.dispose]();
});

type Params = Omit<Parameters<typeof cronvar>[0], "cron_file">;
const inFile = (params: Params): ReturnType<typeof cronvar> => cronvar({ cron_file: "jobs", ...params });

// Expected texts: those of community.general 6.6, with the same crontab.
describe("cronvar, in a file", () => {
  it("makes the file for a first variable, and writes the value without quotes", async () => {
    const { first } = await checkApplyAgain(sandbox, inFile({ name: "P", value: "/bin:/x y" }));
    expect(readFileSync(at("etc/cron.d/jobs"), "utf8")).toBe("P=/bin:/x y\n");
    expect(first.data).toEqual({ vars: ["P"], cron_file: "jobs" });
  });

  it.each<[string, Params, (before: string) => string]>([
    ["changes a value in its place", { name: "A", value: "2" }, (text) => text.replace("A=1", "A=2")],
    [
      "writes a quoted value anew without its quotes",
      { name: "B", value: "two words" },
      (text) => text.replace('B = "two words"', "B=two words"),
    ],
    ["writes the quotes it is given", { name: "N", value: '"new one"' }, (text) => `N="new one"\n${text}`],
    ["empties a value", { name: "C", value: "" }, (text) => text.replace("C='sq'", "C=")],
    ["adds a variable at the top", { name: "X", value: "5" }, (text) => `X=5\n${text}`],
    [
      "adds one below another",
      { name: "I", value: "i", insertafter: "A" },
      (text) => text.replace("A=1\n", "A=1\nI=i\n"),
    ],
    [
      "adds one above another",
      { name: "I", value: "i", insertbefore: "A" },
      (text) => text.replace("A=1\n", "I=i\nA=1\n"),
    ],
    ["removes a variable", { name: "A", state: "absent" }, (text) => text.replace("A=1\n", "")],
  ])("%s", async (_, params, wanted) => {
    writeFileSync(at("etc/cron.d/jobs"), CRONTAB);
    const { check } = await checkApplyAgain(sandbox, inFile(params));
    expect(readFileSync(at("etc/cron.d/jobs"), "utf8")).toBe(wanted(CRONTAB));
    expect(check.change).not.toBeNull();
  });

  it.each<[string, Params]>([
    ["a value that is there", { name: "A", value: "1" }],
    ["a quoted value that is there with its quotes", { name: "B", value: '"two words"' }],
    ["a value that would be written as it stands", { name: "E", value: "a b" }],
    ["a variable to remove that is not there", { name: "Z", state: "absent" }],
    ["a new one whose neighbour is not there", { name: "K", value: "k", insertafter: "Z" }],
  ])("leaves %s", async (_, params) => {
    writeFileSync(at("etc/cron.d/jobs"), CRONTAB);
    const run = await pass(inFile(params), sandbox.system, sandbox.context());
    expect(run.state).toBe("unchanged");
    expect(run.data).toMatchObject({ vars: ["A", "B", "C", "E"] });
    expect(readFileSync(at("etc/cron.d/jobs"), "utf8")).toBe(CRONTAB);
  });

  it("needs a value to set, and a line for it", () => {
    expect(() => inFile({ name: "A" })).toThrow(/must specify 'value'/);
    expect(() => inFile({ name: "A", value: "a\nb" })).toThrow(/one line/);
  });
});
