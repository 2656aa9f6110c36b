import { describe, expect, it } from "vitest";
import { type Files, load, varsOf } from "./project.ts";

const INVENTORY: Files = {
  "inv/hosts.yml": `
all:
  vars: {v: file all, only_all: 1}
  children:
    prod:
      vars: {v: file prod}
      children:
        web:
          vars: {v: file web}
          hosts: {web1: {v: file host}}
`,
};

/** From lowest to highest, as Ansible documents it; each wins over every one before it. */
const LADDER: readonly (readonly [path: string, playbook: boolean])[] = [
  ["inv/group_vars/all.yml", false],
  ["play/group_vars/all.yml", true],
  ["inv/group_vars/prod.yml", false],
  ["inv/group_vars/web.yml", false],
  ["play/group_vars/prod.yml", true],
  ["play/group_vars/web.yml", true],
];

describe("precedence", () => {
  const withoutHost = { "inv/hosts.yml": INVENTORY["inv/hosts.yml"]!.replace("{v: file host}", "") };

  it.each(LADDER.map(([path], index) => [path, index] as const))(
    "%s wins over what is below it",
    async (path, index) => {
      const below = Object.fromEntries(LADDER.slice(0, index + 1).map(([file]) => [file, `v: ${file}`]));
      const inventory = await load({ ...withoutHost, ...below }, ["inv"], { playbookDirectory: "play" });
      expect(varsOf(inventory, "web1").v).toBe(path);
    },
  );

  it("host vars win over group_vars, host_vars over those, the playbook's over the inventory's", async () => {
    const files: Record<string, string> = { ...INVENTORY, "play/group_vars/web.yml": "v: group" };
    const value = async (): Promise<unknown> =>
      varsOf(await load(files, ["inv/hosts.yml"], { playbookDirectory: "play" }), "web1").v;
    expect(await value()).toBe("file host");
    files["inv/host_vars/web1.yaml"] = "v: inventory host_vars";
    expect(await value()).toBe("inventory host_vars");
    files["play/host_vars/web1"] = "v: playbook host_vars";
    expect(await value()).toBe("playbook host_vars");
  });

  it("records where each value came from, and what it replaced", async () => {
    const inventory = await load({ ...INVENTORY, "inv/group_vars/web.yml": "# x\nv: vars file\n" }, ["inv"]);
    const web1 = inventory.hosts.get("web1");
    expect(web1?.sources).toEqual({
      v: { file: "inv/hosts.yml", line: 10, scope: "host web1" },
      only_all: { file: "inv/hosts.yml", line: 3, scope: "all" },
    });
    expect(web1?.overridden).toEqual({
      v: [
        { value: "vars file", source: { file: "inv/group_vars/web.yml", line: 2, scope: "group web" } },
        { value: "file web", source: { file: "inv/hosts.yml", line: 9, scope: "group web" } },
        { value: "file prod", source: { file: "inv/hosts.yml", line: 6, scope: "group prod" } },
        { value: "file all", source: { file: "inv/hosts.yml", line: 3, scope: "all" } },
      ],
    });
  });

  it("orders groups by depth, then priority, then name", async () => {
    const groups = (first: string): string => `
a: {vars: {v: a, w: a${first}}, hosts: {h: }}
b: {vars: {v: b}, hosts: {h: }}
c: {children: {d: {vars: {w: d}, hosts: {h: }}}}
`;
    expect(varsOf(await load({ "h.yml": groups("") }), "h")).toEqual({ v: "b", w: "d" });
    const inventory = await load({ "h.yml": groups(", ansible_group_priority: 10") });
    expect(varsOf(inventory, "h")).toEqual({ v: "a", w: "d" });
    expect(inventory.hosts.get("h")?.groups).toEqual(["d", "a", "c", "b"]);
  });

  it("merges the files of a vars directory in name order", async () => {
    const inventory = await load({
      hosts: "[web]\nweb1\n",
      "group_vars/web/10.yml": "a: 1\nb: 1\n",
      "group_vars/web/20.json": '{"b": 2, "c": 2}',
      "group_vars/web/30/more.yaml": "c: 3",
      "group_vars/web/40": "d: 4",
      "group_vars/web/50.txt": "e: 5",
      "group_vars/web/.60.yml": "e: 6",
      "group_vars/web/70.yml~": "e: 7",
      "group_vars/other.yml": "e: 8",
    });
    expect(varsOf(inventory, "web1")).toEqual({ a: 1, b: 2, c: 3, d: 4 });
    expect(inventory.groups.get("web")?.vars).toEqual({ a: 1, b: 2, c: 3, d: 4 });
  });
});
