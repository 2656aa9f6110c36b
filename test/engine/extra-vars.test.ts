import * as v from "valibot";
import { expect, test } from "vitest";
import { debug } from "../../src/actions/flow/debug.ts";
import { defineRole } from "../../src/core/role.ts";
import { roleOf, runPlays } from "./run-plays.ts";

/** Run a role in a play that sets `a`, on a host that sets `a` and `b`; gives the vars the role sees. */
async function seenBy(schema: v.GenericSchema | undefined, extraVars: Readonly<Record<string, unknown>>) {
  let seen: unknown;
  const role = defineRole<Readonly<Record<string, unknown>>>({
    name: "r",
    ...(schema === undefined ? {} : { vars: schema as never }),
    tasks: ({ vars, task }) => {
      seen = { ...vars };
      task("Say", debug("x"));
    },
  });
  const run = await runPlays(
    [{ hosts: "all", vars: { a: "of the play" }, roles: [role({ a: "of the use" })] }],
    {
      job: { vars: { a: "of the host", b: "{{ a }} too" }, extraVars },
    },
  );
  expect(run.error).toBeUndefined();
  return seen as Readonly<Record<string, unknown>>;
}

test("extra vars win over the play's, the role's and the host's, in templates too", async () => {
  expect(await seenBy(undefined, {})).toMatchObject({ a: "of the use", b: "of the use too" });
  expect(await seenBy(undefined, { a: "extra" })).toMatchObject({ a: "extra", b: "extra too" });
  expect(await seenBy(undefined, { a: "{{ c }}!", c: "new" })).toMatchObject({ a: "new!", c: "new" });
});

test("a role's schema checks them, and reads numbers in texts", async () => {
  const schema = v.object({ a: v.number(), b: v.string() });
  expect(await seenBy(schema, { a: "8080", b: "x" })).toEqual({ a: 8080, b: "x" });
});

test("they win over a task's own vars and over facts, and a host has them among its vars", async () => {
  let vars: unknown;
  const run = await runPlays(
    [
      {
        hosts: "all",
        roles: [
          roleOf("r", ({ task, host }) => {
            vars = { ...host.vars };
            for (const name of ["a", "ansible_kernel", "own"])
              task(name, debug({ var: name }), { vars: { a: "of the task", own: 1 } });
          }),
        ],
      },
    ],
    {
      job: { vars: { a: "of the host" }, extraVars: { a: "extra", ansible_kernel: "none" } },
      facts: { kernel: "6.1" },
    },
  );
  const seen = ["a", "ansible_kernel", "own"].map((name) => run.task(name).data);
  expect(seen).toEqual([{ a: "extra" }, { ansible_kernel: "none" }, { own: 1 }]);
  expect(vars).toEqual({ a: "extra", ansible_kernel: "none" });
});
