import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readInventory } from "../../../src/controller.ts";
import { scratchDirectory } from "../../e2e/lib/project.ts";

const scratch = scratchDirectory();

it("readInventory reads the vars files of its working directory, as for a playbook there", async () => {
  const cwd = mkdtempSync(join(scratch(), "read-"));
  for (const directory of ["inventory/group_vars", "group_vars", "play/group_vars"])
    mkdirSync(join(cwd, directory), { recursive: true });
  writeFileSync(join(cwd, "inventory/hosts.yaml"), "all: { hosts: { web1: { a: host } } }\n");
  writeFileSync(join(cwd, "inventory/group_vars/all.yaml"), "{ b: inventory, c: inventory }\n");
  writeFileSync(join(cwd, "group_vars/all.yaml"), "{ c: here }\n");
  writeFileSync(join(cwd, "play/group_vars/all.yaml"), "{ c: play }\n");
  const { select } = await readInventory("inventory", { cwd });
  expect(select("web1")[0]!.vars).toMatchObject({ a: "host", b: "inventory", c: "here" });
  const beside = await readInventory("inventory", { cwd, playbookDirectory: "play" });
  expect(beside.select("all")[0]!.vars).toMatchObject({ b: "inventory", c: "play" });
});
