import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Data } from "../../src/core/values/value.ts";
import { command, copy, debug, shell, template } from "../../src/index.ts";
import { makeWorkplace, runTasks } from "./run-plays.ts";

const SECRET = "hunter2-of-the-database";

test("what a task prints is masked, also when it comes in pieces; the role gets the real text", async () => {
  let got = "";
  const run = await runTasks(
    async ({ task }) => {
      const shown = await task(
        "Print",
        shell(
          "printf 'pw=hunter2-'; sleep 0.1; printf 'of-the-data'; sleep 0.1; echo base; echo hunter; echo and >&2",
        ),
      );
      got = (shown.data as { readonly stdout: string }).stdout;
    },
    { job: { secrets: [SECRET] } },
  );
  expect(got).toContain(SECRET);
  const printed = (stream: string): string =>
    run
      .of("task:output")
      .map((event) => (event.stream === stream ? event.text : ""))
      .join("");
  expect(printed("stdout")).toBe("pw=********\nhunter\n");
  expect(printed("stderr")).toBe("and\n");
  expect(run.task("Print").data).toMatchObject({ stdout: expect.stringContaining("pw=********\nhunter") });
});

test("what is held back is told before the task's end", async () => {
  const run = await runTasks(({ task }) => void task("Print", shell("printf 'pw=hunter2'")), {
    job: { secrets: [SECRET] },
  });
  const told = run.events.flatMap((event) =>
    event.type === "task:output" ? [event.text] : event.type === "task:end" ? ["end"] : [],
  );
  expect(told.join("")).toBe("pw=hunter2end");
});

test("a text that is cut where a secret stands gives none of it away", async () => {
  const limit = 64 << 10;
  for (const before of [limit - 12, limit - 4, limit - SECRET.length]) {
    const text = `${"x".repeat(before)}${SECRET}${"y".repeat(100)}`;
    const run = await runTasks(({ task }) => void task("Print", command({ argv: ["cat"], stdin: text })), {
      job: { secrets: [SECRET] },
    });
    expect(JSON.stringify(run.task("Print"))).not.toContain("hunt");
  }
});

test("diffs are masked, files get the real text", async () => {
  using place = makeWorkplace();
  mkdirSync(join(place.role, "templates"));
  writeFileSync(join(place.role, "templates", "conf"), "password = {{ password }}\n");
  const run = await runTasks(
    ({ task }) => {
      task("Template", template({ src: "conf", dest: place.path("a") }));
      task("Copy", copy({ content: SECRET, dest: place.path("b") }));
    },
    {
      roleDirectory: place.role,
      options: { diff: true },
      job: { vars: { password: SECRET }, secrets: [SECRET] },
    },
  );
  expect(readFileSync(place.path("a"), "utf8")).toBe(`password = ${SECRET}\n`);
  expect(readFileSync(place.path("b"), "utf8")).toBe(SECRET);
  expect(run.task("Template").diff).toMatchObject([{ after: "password = ********\n" }]);
  expect(run.task("Copy").diff).toMatchObject([{ after: "********" }]);
});

test("a secret that looks like a template is taken as it is, other vars are rendered", async () => {
  const literal = "a{{ b }}c{% d %}";
  const seen: unknown[] = [];
  await runTasks(
    ({ task, vars }) => {
      seen.push(vars);
      task("Say", debug("x"));
    },
    {
      job: {
        vars: { literal: new Data(literal), url: "http://{{ name }}/", name: "web1" },
        secrets: [literal],
      },
    },
  );
  expect(seen).toMatchObject([{ literal, url: "http://web1/" }]);
});
