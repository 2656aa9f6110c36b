import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { template } from "../../src/actions/files/template.ts";
import { debug } from "../../src/actions/flow/debug.ts";
import { defineRole, type RoleUse } from "../../src/core/role.ts";
import { decodeVars, encodeVars } from "../../src/vars/whole-value.ts";
import { load, varsOf } from "../inventory/project.ts";
import { makeWorkplace, roleOf, runPlays, type Workplace } from "./run-plays.ts";

let work: Workplace;
beforeEach(() => {
  work = makeWorkplace();
  mkdirSync(join(work.role, "templates"));
});
afterEach(() => work[Symbol.dispose]());

const YAML = `
all:
  hosts:
    web1:
      php: 8.0
      nested: {ver: [1.0, {x: 2.0}], plain: 3}
      limits: [.inf, -.inf, .nan]
      vlans: {20: blue, 10: red}
      odd: {010: y, 1.50: z, true: t, ~: n, "20": text}
      base: &base {a: 1, b: 2}
      merged: {c: 3, <<: *base, b: 9}
      big: 9007199254740993
      raw: !unsafe "p{{ 1+1 }}w"
      deep: {list: [!unsafe "{{ nosuch }}"], all: !unsafe {x: "{{ y }}"}}
      late: "{{ php }}"
      lates: {1: "{{ vlans }}", v: "{{ php }}"}
`;

/** Renders a text on the host, with the vars of an inventory that came in a Job. */
async function rendered(
  text: string,
  files: Readonly<Record<string, string>> = { "hosts.yml": YAML },
): Promise<string> {
  return renderedBy(
    roleOf("r", ({ task }) => void task("t", template({ src: "t", dest: work.path("out") }))),
    text,
    files,
  );
}

async function renderedBy(
  role: RoleUse,
  text: string,
  files: Readonly<Record<string, string>> = { "hosts.yml": YAML },
): Promise<string> {
  writeFileSync(join(work.role, "templates/t"), text);
  const vars = varsOf(await load(files), "web1");
  const sent = JSON.parse(JSON.stringify(encodeVars({ vars, hostVars: {} })));
  const run = await runPlays([{ hosts: "all", roles: [role] }], {
    job: decodeVars(sent),
    roleDirectory: work.role,
  });
  const failed = run.of("task:end").find(({ result }) => result.state === "failed");
  if (failed !== undefined || run.error !== undefined)
    throw new Error(JSON.stringify(failed?.result ?? run.error));
  return readFileSync(work.path("out"), "utf8");
}

// Expected values: the output of ansible-core 2.14 for the same inventory and template.
describe("values of an inventory in a template", () => {
  it.each([
    [
      "{% for k, v in vlans.items() %}{{ k }}:{{ v }}:{{ k | type_debug }} {% endfor %}",
      "20:blue:int 10:red:int ",
    ],
    [
      "{{ vlans }} {{ vlans | to_json }} {{ vlans[20] }}",
      '{20: \'blue\', 10: \'red\'} {"20": "blue", "10": "red"} blue',
    ],
    ["{{ vlans | dict2items | to_json }}", '[{"key": 20, "value": "blue"}, {"key": 10, "value": "red"}]'],
    ["{{ vlans | to_nice_json(indent=0) }}", '{\n"10": "red",\n"20": "blue"\n}'],
    ["{{ vlans | to_yaml }}", "{10: red, 20: blue}\n"],
    ["{{ odd }}", "{8: 'y', 1.5: 'z', True: 't', None: 'n', '20': 'text'}"],
    ["{{ odd[8] }}{{ odd[1.5] }}{{ odd[true] }}{{ odd[1] }}{{ odd[1.0] }}{{ odd[none] }}", "yztttn"],
    ["{{ odd | to_json }}", '{"8": "y", "1.5": "z", "true": "t", "null": "n", "20": "text"}'],
    ["{{ merged }}", "{'a': 1, 'b': 9, 'c': 3}"],
    ["{{ php }} {{ php | type_debug }} php{{ php }}", "8.0 float php8.0"],
    ["{{ nested }} {{ nested.ver[1].x | type_debug }}", "{'ver': [1.0, {'x': 2.0}], 'plain': 3} float"],
    ["{{ nested | to_json }}", '{"ver": [1.0, {"x": 2.0}], "plain": 3}'],
    ["{{ limits }} {{ limits | to_json }}", "[inf, -inf, nan] [Infinity, -Infinity, NaN]"],
    [
      "{{ big }} {{ big + 1 }} {{ big | to_json }} {{ big * big }}",
      "9007199254740993 9007199254740994 9007199254740993 81129638414606699710187514626049",
    ],
    ["{{ raw }} {{ deep.list[0] }} {{ deep.all.x }}", "p{{ 1+1 }}w {{ nosuch }} {{ y }}"],
    ["{{ late }} {{ late | type_debug }} {{ lates }}", "8.0 float {1: {20: 'blue', 10: 'red'}, 'v': 8.0}"],
    ["{{ php == 8 }} {{ {8: 'x'}[php] }} {{ [php, 8, true, 1] | unique }}", "True x [8.0, True]"],
    ["{{ vlans | combine({10: 'green', 30: 'x'}) }}", "{20: 'blue', 10: 'green', 30: 'x'}"],
  ])("%s", async (text, expected) => {
    expect(await rendered(text)).toBe(expected);
  });

  it.each([
    ["INI", { "hosts.ini": "web1 php=1.0 exp=1e3 vlans=\"{20: 'blue', 10: 'red'}\" big=9007199254740993" }],
    [
      "a script",
      {
        "hosts.sh": `#!/bin/sh\necho '{"all": {"hosts": ["web1"]}, "_meta": {"hostvars": {"web1": {"php": 1.0, "exp": 1e3, "vlans": {"20": "blue", "10": "red"}, "big": 9007199254740993}}}}'\n`,
      },
    ],
    [
      "JSON",
      {
        "hosts.json":
          '{"all": {"hosts": {"web1": {"php": 1.0, "exp": 1.0e+3, "vlans": {"20": "blue", "10": "red"}, "big": 9007199254740993}}}}',
      },
    ],
    [
      "JavaScript",
      {
        "hosts.mjs":
          'export default {hosts: {web1: {vars: {php: "{{ 1.0 }}", exp: "{{ 1e3 }}", vlans: new Map([[20, "blue"], [10, "red"]]), big: 9007199254740993n}}}}',
      },
    ],
  ])("from %s", async (_format, files) => {
    const text = "{{ php }} {{ exp }} {{ vlans.values() | list }} {{ big }}";
    expect(await rendered(text, files as unknown as Readonly<Record<string, string>>)).toBe(
      "1.0 1000.0 ['blue', 'red'] 9007199254740993",
    );
  });
});

it("sorts group_names, as Ansible does", async () => {
  writeFileSync(join(work.role, "templates/t"), "{{ group_names }}");
  const role = roleOf("r", ({ task }) => void task("t", template({ src: "t", dest: work.path("out") })));
  await runPlays([{ hosts: "all", roles: [role] }], {
    job: { groups: ["web", "prod", "canary", "B"] },
    roleDirectory: work.role,
  });
  expect(readFileSync(work.path("out"), "utf8")).toBe("['B', 'canary', 'prod', 'web']");
});

describe("values of an inventory in a role", () => {
  it("are numbers and objects of JavaScript", async () => {
    let seen: Readonly<Record<string, unknown>> = {};
    const role = roleOf("r", ({ task, vars, host }) => {
      expect(host.vars.php).toBe(8);
      seen = { ...(vars as Readonly<Record<string, unknown>>) };
      task("t", template({ src: "t", dest: work.path("out") }));
    });
    await renderedBy(role, "x");
    expect(seen).toMatchObject({
      php: 8,
      nested: { ver: [1, { x: 2 }], plain: 3 },
      vlans: { 20: "blue", 10: "red" },
      odd: { 8: "y", "1.5": "z", true: "t", null: "n" },
      limits: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
      big: 9007199254740993n,
      raw: "p{{ 1+1 }}w",
      late: 8,
      lates: { 1: { 10: "red", 20: "blue" }, v: 8 },
    });
  });

  it("fit a schema, and templates still see them as they were written", async () => {
    const role = defineRole(
      {
        name: "r",
        vars: v.object({
          php: v.number(),
          vlans: v.record(v.string(), v.string()),
          nested: v.object({ ver: v.array(v.unknown()), plain: v.number() }),
          more: v.optional(v.number(), 3),
          late: v.number(),
        }),
        tasks: ({ task, vars }) => {
          expect(vars).toEqual({
            php: 8,
            vlans: { 10: "red", 20: "blue" },
            nested: { ver: [1, { x: 2 }], plain: 3 },
            more: 3,
            late: 8,
          });
          task("t", template({ src: "t", dest: work.path("out") }));
        },
      },
      "role",
    )();
    expect(await renderedBy(role, "{{ php }} {{ vlans }} {{ nested }} {{ more }} {{ late }}")).toBe(
      "8.0 {20: 'blue', 10: 'red'} {'ver': [1.0, {'x': 2.0}], 'plain': 3} 3 8.0",
    );
  });

  it("reach templates as they were written when a role passes them on, in vars and in loops", async () => {
    const role = roleOf("r", ({ task, vars }) => {
      const { vlans, nested } = vars as unknown as { vlans: object; nested: { ver: unknown[] } };
      task("t", () => template({ src: "t", dest: work.path("out") }), {
        vars: { mine: { vlans } },
        loop: nested.ver,
      });
    });
    expect(await renderedBy(role, "{{ mine }} {{ item }}")).toBe(
      "{'vlans': {20: 'blue', 10: 'red'}} {'x': 2.0}",
    );
    const first = roleOf("r", ({ task, vars }) => {
      const { nested } = vars as unknown as { nested: { ver: unknown[] } };
      nested.ver.pop();
      nested.ver.push(5);
      task("t", () => template({ src: "t", dest: work.path("out") }), {
        vars: { list: nested.ver },
        loop: [1],
      });
    });
    expect(await renderedBy(first, "{{ list }}")).toBe("[1.0, 5]");
  });

  it("are shown by debug as Ansible shows them", async () => {
    const vars = varsOf(await load({ "hosts.yml": YAML }), "web1");
    const run = await runPlays(
      [
        {
          hosts: "all",
          roles: [
            roleOf("r", ({ task }) => {
              task("php", debug({ var: "php" }));
              task("vlans", debug({ var: "vlans" }));
              task("item", debug({ var: "vlans[20]" }));
              task("big", debug({ var: "big" }));
            }),
          ],
        },
      ],
      { job: { vars } },
    );
    expect(run.task("php").message).toBe("php: 8.0");
    expect(run.of("task:output").map(({ text }) => text)).toEqual([
      'vlans: {\n  "20": "blue",\n  "10": "red"\n}\n',
    ]);
    expect(run.task("item").message).toBe("vlans[20]: blue");
    expect(run.task("big").message).toBe("big: 9007199254740993");
  });
});
