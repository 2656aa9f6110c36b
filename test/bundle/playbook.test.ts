import { expect, test } from "vitest";
import { compile, evaluate } from "../../src/bundle/playbook.ts";
import * as volley from "../../src/index.ts";
import { makeProject, scratchDirectory } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();

async function evaluated(text: string, limitMs?: number): Promise<unknown> {
  const project = makeProject(scratch(), { "site.ts": text });
  const compiled = await compile(project.path("site.ts"), project.directory);
  return evaluate(compiled, project.path("site.ts"), volley, console, limitMs);
}

test("it gives what the file exports, which may use Volley and Node's own modules", async () => {
  const text = `import { basename } from "node:path";\nimport { noop } from "volley";\nexport default [basename("/a/b"), noop({}).action];\n`;
  expect(await evaluated(text)).toEqual(["b", "noop"]);
});

test("what it throws is told with its place, whatever is thrown", async () => {
  await expect(evaluated(`\nthrow new RangeError("too far");\n`)).rejects.toMatchObject({
    code: "PLAYBOOK_INVALID",
    message: "RangeError: too far",
    location: { file: "site.ts", line: 2 },
  });
  await expect(evaluated("throw null;\n")).rejects.toBeNull();
});

test("a file that never ends is ended, and the next one is evaluated", async () => {
  await expect(evaluated("for (;;) {}\n", 50)).rejects.toMatchObject({
    code: "PLAYBOOK_INVALID",
    message: "site.ts has not ended within 0.05 s: does it wait, or loop forever?",
  });
  expect(await evaluated("export default 1;\n")).toBe(1);
});
