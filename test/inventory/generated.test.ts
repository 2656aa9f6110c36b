import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Inventory } from "../../src/core/inventory.ts";
import { Data, dictEntries, isDict, numberText, numeric } from "../../src/core/values/value.ts";
import { loadInventory } from "../../src/inventory/load.ts";
import { selectHosts } from "../../src/inventory/select.ts";
import { load, loadModule, project } from "./project.ts";

const SEEDS = 300;
const INI_VALUES = [
  "8",
  "8.0",
  "1e3",
  "-0.5",
  ".5",
  "1.",
  "0644",
  "0o17",
  "0x1F",
  "1_000",
  "1__0",
  "08.5",
  "00",
  "-0.0",
  "9007199254740993",
  "-123456789012345678901",
  "True",
  "true",
  "None",
  "null",
  "yes",
  "1.2.3",
  "inf",
  "nan",
  "-5",
  "+5",
  "[1,2.0]",
  "{20:'blue',10:'red'}",
  "{'a':1,1:'x',True:'y'}",
  "{'10':1,'9':2}",
  "[True,None]",
  "text",
  "10.0.0.1",
  "1e-7",
  "1e16",
  "12345.678e3",
  "{1.0:[]}",
  "--5",
  "5-3",
];
const YAML_VALUES = [
  "8.0",
  ".inf",
  "-.inf",
  ".nan",
  "010",
  "0o17",
  "08",
  "1e3",
  "1.0e+3",
  "1.0E5",
  "0x1F",
  "0b11",
  "1_000",
  "190:20:30",
  "1:30.5",
  "yes",
  "No",
  "on",
  "y",
  "True",
  "TRUE",
  "~",
  "null",
  '""',
  "'8.0'",
  '"0644"',
  "9007199254740993",
  "-0xffffffffffffffff",
  "-.5",
  ".5",
  "1.",
  "-0.0",
  "{20: blue, 10: red}",
  "{010: y, 1.50: z, true: t, ~: n, '20': s}",
  "[1.0, {2: 3.0}]",
  "!unsafe 'x{{ 1 }}'",
  "!!str 8",
  "!!float 8",
  "!!int '0x1f'",
  "{b: 1, <<: {a: 2, b: 3}, c: 4}",
  "{<<: [{x: 1, y: 2}, {y: 3, z: 4}]}",
  "{no: Norway, '10': x, a: 1}",
  "plain text",
  "1.2.3",
  "{}",
  "[]",
  "{1: {2: {3.0: x}}}",
];

interface Case {
  readonly name: string;
  readonly text: string;
  readonly patterns: readonly string[];
}

/** Numbers that are the same for the same seed (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Groups in a row, each with hosts and perhaps the next as its child: deeper trees have no certain order in Ansible. */
function generate(seed: number): Case {
  const random = randomOf(seed);
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  const isIni = seed % 2 === 0;
  const value = (): string => pick(isIni ? INI_VALUES : YAML_VALUES);
  const hosts = Array.from({ length: 1 + random(6) }, (_, index) => `h${index}`);
  const groups = Array.from({ length: 1 + random(4) }, (_, index) => `g${pick(["a", "b", "Z"])}${index}`);
  const members = groups.map(() => [...new Set(Array.from({ length: random(5) }, () => pick(hosts)))]);
  const child = groups.map((_, index) =>
    random(3) === 0 && index + 1 < groups.length ? groups[index + 1] : undefined,
  );
  const vars = (): (readonly [string, string])[] =>
    Array.from({ length: random(3) }, () => [`v_${pick("abc".split(""))}`, value()] as const);
  const unique = (pairs: readonly (readonly [string, string])[]): [string, string][] => [...new Map(pairs)];
  const text = isIni
    ? [
        ...(random(2) === 0 ? [pick(hosts)] : []),
        ...groups.flatMap((group, index) => [
          `[${group}]`,
          ...members[index]!.map((host) =>
            [host, ...vars().map(([name, one]) => `${name}="${one}"`)].join(" "),
          ),
          ...(child[index] === undefined ? [] : [`[${group}:children]`, child[index]]),
          ...(random(2) === 0 ? [`[${group}:vars]`, ...vars().map(([name, one]) => `${name} = ${one}`)] : []),
        ]),
      ].join("\n")
    : [
        "all:",
        "  children:",
        ...groups.flatMap((group, index) => {
          const own = unique(vars());
          return [
            `    ${group}:`,
            ...(child[index] === undefined ? [] : ["      children:", `        ${child[index]}:`]),
            ...(own.length === 0
              ? []
              : ["      vars:", ...own.map(([name, one]) => `        ${name}: ${one}`)]),
            ...(members[index]!.length === 0 ? [] : ["      hosts:"]),
            ...members[index]!.flatMap((host) => [
              `        ${host}:`,
              ...unique(vars()).map(([name, one]) => `          ${name}: ${one}`),
            ]),
          ];
        }),
      ].join("\n");
  const base = (): string => pick([...groups, ...groups, "all", "g*", "h*", "*"]);
  const part = (): string =>
    pick([
      base,
      () => `${base()}[0]`,
      () => `${base()}[-1]`,
      () => `${base()}[1:]`,
      () => `${base()}[0:1]`,
      () => "~g[abZ]",
    ])();
  const patterns = Array.from({ length: 6 }, () =>
    [part(), ...Array.from({ length: random(3) }, () => pick(["", "&", "!"]) + part())].join(
      pick([":", ","]),
    ),
  );
  return { name: isIni ? `h${seed}.ini` : `h${seed}.yml`, text: `${text}\n`, patterns };
}

/** A value in the words of the oracle. */
function typed(value: unknown): unknown {
  if (value instanceof Data) return ["unsafe", value.text];
  if (value === null) return ["None", "None"];
  if (typeof value === "boolean") return ["bool", value ? "True" : "False"];
  if (Array.isArray(value)) return ["list", value.map(typed)];
  if (isDict(value)) return ["dict", dictEntries(value).map(([key, item]) => [typed(key), typed(item)])];
  if (numeric(value) === undefined) return ["str", value];
  const text = numberText(value as number);
  return [/^-?\d+$/.test(text) ? "int" : "float", text];
}

interface Found {
  readonly hosts: Readonly<Record<string, { readonly vars: object; readonly groups: readonly string[] }>>;
  readonly groups: Readonly<Record<string, readonly string[]>>;
  /** Null: refused, because a part of it names nothing. */
  readonly patterns: readonly (readonly string[] | null)[];
}

function describeInventory(inventory: Inventory, patterns: readonly string[]): Found {
  const select = (pattern: string): readonly string[] | null => {
    try {
      return selectHosts(inventory, pattern).map(({ name }) => name);
    } catch {
      return null;
    }
  };
  return {
    hosts: Object.fromEntries(
      [...inventory.hosts.values()].map(({ name, vars, groups }) => [
        name,
        {
          vars: Object.fromEntries(Object.entries(vars).map(([key, value]) => [key, typed(value)])),
          groups: [...groups].sort(),
        },
      ]),
    ),
    groups: Object.fromEntries([...inventory.groups].map(([name, { hosts }]) => [name, hosts])),
    patterns: patterns.map(select),
  };
}

/** The Python that has ansible-core; undefined where there is none. */
function ansiblePython(): string | undefined {
  const file = spawnSync("sh", ["-c", "command -v ansible-inventory"], { encoding: "utf8" }).stdout.trim();
  const python = existsSync(file) ? /^#!\s*(\S+)/.exec(readFileSync(file, "utf8"))?.[1] : undefined;
  if (python === undefined || !/python/.test(python)) return undefined;
  return spawnSync(python, ["-c", "import ansible.inventory.manager"]).status === 0 ? python : undefined;
}

const python = ansiblePython();

describe("generated inventories", () => {
  it.skipIf(python === undefined)(`${SEEDS} are read as ansible-core reads them`, async () => {
    const cases = Array.from({ length: SEEDS }, (_, seed) => generate(seed));
    const directory = await project(
      Object.fromEntries(cases.map(({ name, text }) => [`${name}/${name}`, text])),
    );
    const asked = cases.map(({ name, patterns }) =>
      JSON.stringify({ directory: join(directory, name), inventory: join(directory, name, name), patterns }),
    );
    const answers = execFileSync(python!, [new URL("oracle.py", import.meta.url).pathname], {
      input: `${asked.join("\n")}\n`,
      encoding: "utf8",
      maxBuffer: 1 << 28,
      env: { ...process.env, ANSIBLE_CONFIG: "", HOME: directory },
      stdio: ["pipe", "pipe", "pipe"],
    })
      .trim()
      .split("\n");
    let refused = 0;
    for (const [seed, { name, text, patterns }] of cases.entries()) {
      const inventory = await loadInventory([name], { cwd: join(directory, name), loadModule });
      const expected = JSON.parse(answers[seed]!) as Found;
      const found = describeInventory(inventory, patterns);
      refused += found.patterns.filter((hosts) => hosts === null).length;
      // Volley refuses what names nothing, where Ansible warns and goes on with the rest.
      const hosts = expected.patterns.map((names, index) => (found.patterns[index] === null ? null : names));
      expect(found, `seed ${seed}\n${text}\n${patterns.join("\n")}`).toEqual({
        ...expected,
        patterns: hosts,
      });
    }
    expect(refused).toBeLessThan(SEEDS);
  });

  // Recorded answers of the oracle, which also hold on a machine without Ansible.
  it("a few are read as was recorded", async () => {
    const inventory = await load({
      "h.yml":
        "all:\n  children:\n    gZ0:\n      hosts:\n        h1: {v_a: {20: blue, 010: y, 1.50: z}, v_b: -.5, v_c: 190:20:30}\n        h0:\n    ga1:\n      hosts: {h0: , h2: {v_a: {b: 1, <<: {a: 2, b: 3}}}}\n",
    });
    expect(describeInventory(inventory, ["ga1:gZ0", "g*[2]", "all[0]", "ga1:&gZ0", "h*[-1]"])).toEqual({
      hosts: {
        h1: {
          vars: {
            v_a: [
              "dict",
              [
                [
                  ["int", "20"],
                  ["str", "blue"],
                ],
                [
                  ["int", "8"],
                  ["str", "y"],
                ],
                [
                  ["float", "1.5"],
                  ["str", "z"],
                ],
              ],
            ],
            v_b: ["str", "-.5"],
            v_c: ["int", "685230"],
          },
          groups: ["gZ0"],
        },
        h0: { vars: {}, groups: ["gZ0", "ga1"] },
        h2: {
          vars: {
            v_a: [
              "dict",
              [
                [
                  ["str", "a"],
                  ["int", "2"],
                ],
                [
                  ["str", "b"],
                  ["int", "1"],
                ],
              ],
            ],
          },
          groups: ["ga1"],
        },
      },
      groups: { all: ["h1", "h0", "h2"], ungrouped: [], gZ0: ["h1", "h0"], ga1: ["h0", "h2"] },
      patterns: [["h0", "h2", "h1"], ["h0"], ["h1"], ["h0"], ["h2"]],
    });
  });
});
