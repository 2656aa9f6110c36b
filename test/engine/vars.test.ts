import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { expect, test } from "vitest";
import { template } from "../../src/actions/files/template.ts";
import { debug } from "../../src/actions/flow/debug.ts";
import type { Job } from "../../src/core/protocol.ts";
import { defineRole } from "../../src/core/role.ts";
import { makeWorkplace, type RunOptions, roleOf, runPlays, runTasks, type Workplace } from "./run-plays.ts";

/** Renders a template in a task, and gives what it wrote. */
async function rendered(
  place: Workplace,
  text: string,
  given: RunOptions & { readonly vars?: object; readonly loop?: readonly unknown[] } = {},
): Promise<string> {
  const { vars, loop, ...rest } = given;
  mkdirSync(join(place.role, "templates"), { recursive: true });
  writeFileSync(join(place.role, "templates", "t"), text);
  const options = { ...(vars === undefined ? {} : { vars }), ...(loop === undefined ? {} : { loop }) };
  const run = await runTasks(
    ({ task }) => {
      const call = () => template({ src: "t", dest: place.path("out") });
      task("T", loop === undefined ? call() : (call as never), options as never);
    },
    { roleDirectory: place.role, ...rest },
  );
  expect(run.task("T").error).toBeUndefined();
  return readFileSync(place.path("out"), "utf8");
}

test("inventory vars see the role, the vars and the loop item of the task that asks", async () => {
  using place = makeWorkplace();
  const job: Partial<Job> = {
    vars: {
      line: "{{ role_name }}/{{ item | default('-') }}/{{ mine | default('-') }}/{{ inventory_hostname }}",
    },
  };
  expect(await rendered(place, "{{ line }}", { job })).toBe("r/-/-/web1");
  expect(await rendered(place, "{{ line }}", { job, vars: { mine: 3 }, loop: ["a", "b"] })).toBe(
    "r/b/3/web1",
  );
  expect(await rendered(place, "{{ vars['line'] }} {{ vars.mine }}", { job, vars: { mine: 3 } })).toBe(
    "r/-/3/web1 3",
  );
});

test("facts win over the inventory, plays over facts", async () => {
  using place = makeWorkplace();
  const seen: unknown[] = [];
  const run = await runPlays(
    [
      {
        hosts: "all",
        vars: { ansible_kernel: "of the play" },
        roles: [
          roleOf("r", ({ task, vars, host }) => {
            seen.push({ ...(vars as object) }, { ...host.vars });
            task("Say", debug("x"));
          }),
        ],
      },
    ],
    {
      job: {
        vars: {
          ansible_distribution: "mine",
          ansible_kernel: "mine",
          os: "{{ ansible_distribution }}",
          own: 1,
        },
      },
      facts: { distribution: "Debian", kernel: "6.1" },
    },
  );
  expect(run.tally.failed).toBe(0);
  expect(seen).toEqual([
    { ansible_distribution: "Debian", ansible_kernel: "of the play", os: "Debian", own: 1 },
    { ansible_distribution: "Debian", ansible_kernel: "6.1", os: "Debian", own: 1 },
  ]);
  const facts = { distribution: "Debian" };
  const vars = { ansible_distribution: "mine" };
  expect(await rendered(place, "{{ ansible_distribution }}", { facts, job: { vars } })).toBe("Debian");
});

test("what facts hold is no template, nor what a task is given", async () => {
  using place = makeWorkplace();
  const given = { facts: { hostname: "{{ 1 + 1 }}" }, job: { vars: { name: "<{{ ansible_hostname }}>" } } };
  expect(
    await rendered(place, "{{ name }}{{ x }}{{ item }}", {
      ...given,
      vars: { x: "{{ 2 }}" },
      loop: ["{% y %}"],
    }),
  ).toBe("<{{ 1 + 1 }}>{{ 2 }}{% y %}");
});

test("other hosts' vars are rendered with their own", async () => {
  using place = makeWorkplace();
  const line = "{{ inventory_hostname }}:{{ port }}";
  const job = { vars: { line, port: 1 }, hostVars: { db1: { line, port: 2 }, web1: { line, port: 3 } } };
  expect(
    await rendered(place, "{{ hostvars['db1'].line }} {{ hostvars.web1.line }} {{ line }}", { job }),
  ).toBe("db1:2 web1:1 web1:1");
});

test("a template that changes a list changes it for itself alone", async () => {
  using place = makeWorkplace();
  mkdirSync(join(place.role, "templates"));
  writeFileSync(
    join(place.role, "templates", "t"),
    "{{ lst.append(9) }}{{ made.append(1) }}{{ lst }}{{ made }}",
  );
  const run = await runTasks(
    ({ task }) => {
      for (const name of ["a", "b"]) task(name, template({ src: "t", dest: place.path(name) }));
    },
    { roleDirectory: place.role, job: { vars: { lst: [1], made: "{{ lst + [2] }}" } } },
  );
  expect(run.tally.failed).toBe(0);
  for (const name of ["a", "b"]) expect(readFileSync(place.path(name), "utf8")).toBe("[1, 9][1, 2, 1]");
});

const typed = defineRole({
  name: "typed",
  vars: v.object({
    port: v.optional(v.number()),
    on: v.optional(v.boolean()),
    vhosts: v.optional(v.array(v.object({ port: v.number(), name: v.optional(v.string()) }))),
  }),
  tasks: ({ task, vars }) => {
    task("Say", debug(JSON.stringify(vars)));
  },
});

test("where a role wants a number or a bool, the text of a template is read as one", async () => {
  const job = {
    vars: {
      base: 80,
      port: "{% if base %}{{ base + 1 }}{% endif %}",
      on: "{{ 'true' }}",
      vhosts: [{ port: "{{ base + 1 }}", name: "{{ base }}1" }, { port: 1 }],
    },
  };
  const run = await runPlays([{ hosts: "all", roles: [typed()] }], { job });
  expect(run.error).toBeUndefined();
  const data = run.task("Say").message ?? JSON.stringify(run.task("Say"));
  expect(data).toContain('{"port":81,"on":true,"vhosts":[{"port":81,"name":"801"},{"port":1}]}');
});

test("text that is no template stays text, and what is no number is refused", async () => {
  const plain = await runPlays([{ hosts: "all", roles: [typed()] }], { job: { vars: { port: "80" } } });
  expect(plain.error?.message).toContain('var "port"');
  const words = await runPlays([{ hosts: "all", roles: [typed()] }], {
    job: { vars: { port: "{{ 'x80' }}" } },
  });
  expect(words.error?.message).toContain('var "port"');
});

test("an error of a var says where it is set", async () => {
  using place = makeWorkplace();
  mkdirSync(join(place.role, "templates"));
  writeFileSync(join(place.role, "templates", "t"), "{{ url }}");
  const run = await runTasks(({ task }) => void task("T", template({ src: "t", dest: place.path("a") })), {
    roleDirectory: place.role,
    job: {
      vars: { url: "x{{ nosuch }}", unused: "{{ nosuch }}" },
      sources: { url: { file: "group_vars/web.yml", line: 7 } },
    },
  });
  expect(run.task("T").error).toMatchObject({
    code: "TEMPLATE_FAILED",
    message: "the var \"url\" cannot be rendered: 'nosuch' is undefined",
    location: { file: "group_vars/web.yml", line: 7 },
  });
});
