import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { blockinfile } from "../../src/actions/edit/blockinfile.ts";
import { lineinfile } from "../../src/actions/edit/lineinfile.ts";
import { replace } from "../../src/actions/edit/replace.ts";
import { template } from "../../src/actions/files/template.ts";
import { noop } from "../../src/actions/flow/noop.ts";
import { wait_for } from "../../src/actions/flow/wait-for.ts";
import type { ActionCall } from "../../src/core/action.ts";
import { makeWorkplace, runTasks } from "./run-plays.ts";

const ENDLESS = "^(a+)+$";
const TEXT = `${"a".repeat(40)}!\n`;

describe("a task that would never end is ended by its timeout", () => {
  it.each<[string, (path: string) => ActionCall]>([
    ["replace", (path) => replace({ path, regexp: ENDLESS, replace: "" })],
    ["replace, what it is limited by", (path) => replace({ path, regexp: "b", after: "(?m)^(a+)+$" })],
    ["lineinfile", (path) => lineinfile({ path, regexp: ENDLESS, line: "b" })],
    ["lineinfile, where a line goes", (path) => lineinfile({ path, line: "b", insertafter: ENDLESS })],
    ["lineinfile, lines removed", (path) => lineinfile({ path, regexp: ENDLESS, state: "absent" })],
    ["blockinfile", (path) => blockinfile({ path, block: "b", insertbefore: ENDLESS })],
    ["wait_for", (path) => wait_for({ path, search_regex: ENDLESS })],
  ])("%s", async (_what, call) => {
    using place = makeWorkplace();
    writeFileSync(place.path("file"), TEXT);
    const run = await runTasks(({ task }) => {
      task("endless", call(place.path("file")), { timeout: 1, ignoreErrors: true });
      task("next", noop({}));
    });
    expect(run.task("endless").error).toMatchObject({
      code: "TIMEOUT",
      message: "the task took longer than 1 s",
    });
    expect(run.task("next").state).toBe("unchanged");
  });

  it.each([
    ["a loop", "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"],
    [
      "a macro",
      "{% macro f(n) %}{% for i in range(9) %}{{ f(n + 1) if n < 40 }}{% endfor %}{% endmacro %}{{ f(0) }}",
    ],
    ["a filter", "{{ text | regex_search('^(a+)+$') }}"],
    ["a test", "{{ text is match('^(a+)+$') }}"],
    ["a replacement", "{{ text | regex_replace('(a|aa)+$', '') }}"],
  ])("template: %s", async (_what, text) => {
    using place = makeWorkplace();
    mkdirSync(join(place.role, "templates"));
    writeFileSync(join(place.role, "templates/t.j2"), text);
    const run = await runTasks(
      ({ task }) => {
        task("endless", template({ src: "t.j2", dest: place.path("out") }), {
          timeout: 1,
          ignoreErrors: true,
        });
        task("next", noop({}));
      },
      { roleDirectory: place.role, job: { vars: { text: TEXT.trim() } } },
    );
    const { error } = run.task("endless");
    expect(error?.code).toBe("TIMEOUT");
    // The message tells the time taken, not the ten seconds that apply without the task's timeout.
    expect(error?.message).toMatch(/(still being rendered after \d(\.\d)?|took longer than 1) s$/);
    expect(run.task("next").state).toBe("unchanged");
  });

  it("when", async () => {
    const run = await runTasks(({ task }) => {
      const when = (): boolean => /^(a+)+$/.test(TEXT);
      task("endless", noop({}), { when, timeout: 1, ignoreErrors: true });
      task("next", noop({}));
    });
    expect(run.task("endless").error).toMatchObject({ code: "TIMEOUT" });
    expect(run.task("next").state).toBe("unchanged");
  });
});

it("a regular expression that would never end is ended with its run", async () => {
  using place = makeWorkplace();
  writeFileSync(place.path("file"), TEXT);
  const kill = new AbortController();
  const run = await runTasks(
    ({ task }) => {
      task("endless", replace({ path: place.path("file"), regexp: ENDLESS, replace: "" }));
    },
    {
      kill: kill.signal,
      cancel: kill.signal,
      onEvent: ({ type }) => {
        if (type === "task:start") setTimeout(() => kill.abort(), 300);
      },
    },
  );
  expect(run.task("endless").error?.code).toBe("CANCELLED");
});
