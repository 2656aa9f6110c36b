import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createMemo } from "../../src/core/action.ts";
import { createActionContext } from "../../src/engine/context.ts";
import { createHostLook, createRenderer } from "../../src/engine/render.ts";
import { createTemplates } from "../../src/template/index.ts";
import { createScope, extendScope } from "../../src/vars/scope.ts";
import { makeSandbox } from "../actions/harness.ts";

const TEMPLATE = [
  "{% for path in ['/etc/here', '/etc/dir', '/etc/to-here', '/etc/dangling', '/etc/none', '/etc/passwd'] %}",
  "{{ path is exists | int }}{{ path is file | int }}{{ path is is_dir | int }}{{ path is link | int }} ",
  "{% endfor %}{{ from_var }}",
]
  .join("")
  .replaceAll(/path is (\w+) \| int/g, "(path is $1) | int");

test("tests of paths look at the host that is worked on, wherever templates are rendered", async () => {
  using sandbox = makeSandbox();
  mkdirSync(join(sandbox.root, "etc/dir"), { recursive: true });
  writeFileSync(join(sandbox.root, "etc/here"), "");
  symlinkSync("here", join(sandbox.root, "etc/to-here"));
  symlinkSync("nowhere", join(sandbox.root, "etc/dangling"));
  const { look, forget } = createHostLook(sandbox.system);
  const asset = {
    path: "templates/t",
    size: TEMPLATE.length,
    mode: 0o644,
    read: () => Buffer.from(TEMPLATE),
    async *stream() {},
  };
  const assets = { file: () => asset, tree: () => null };
  const { render, renderVar } = createRenderer(assets, () => createTemplates, { env: {}, look });
  const vars = createScope(
    [
      {
        kind: "template",
        vars: { from_var: "{% if '/etc/later' is exists %}there{% else %}not there{% endif %}" },
        origin: (name) => ({ name }),
      },
    ],
    renderVar,
  );
  const renderIn = (task: number): Promise<string> =>
    createActionContext({
      role: "r",
      vars: extendScope(vars, { task }),
      facts: {} as never,
      check: false,
      signal: new AbortController().signal,
      memo: createMemo(),
      assets,
      render,
      output: () => {},
    }).render("t");
  expect(await renderIn(1)).toBe("1100 1010 1101 0001 0000 0000 not there");
  writeFileSync(join(sandbox.root, "etc/later"), "");
  forget();
  expect(await renderIn(2)).toBe("1100 1010 1101 0001 0000 0000 there");
});
