import { describe, expect, it } from "vitest";
import { VolleyError } from "../../src/core/errors.ts";
import type { ControllerLookups, LookupQuestion } from "../../src/core/lookup.ts";
import { createLookupAnswers, whenAnswered } from "../../src/engine/render.ts";
import { createTemplates } from "../../src/template/index.ts";

/** A controller whose files are `a.txt` alone, and which keeps what it was asked. */
function controller() {
  const asked: LookupQuestion[] = [];
  const lookups: ControllerLookups = {
    perform: async (question) => {
      asked.push(question);
      await Promise.resolve();
      const { plugin, terms } = question;
      if (plugin === "file" && terms[0] === "a.txt") return [`text ${asked.length}`];
      if (plugin === "stat") return [terms[0] === "/there" ? "file" : null];
      throw new VolleyError("FILE_FAILED", `could not locate file in lookup: ${String(terms[0])}`);
    },
  };
  const { ask, forget } = createLookupAnswers(lookups);
  const templates = createTemplates({
    ask,
    loader: { read: (name) => (name === "own.txt" ? "of the bundle" : null) },
  });
  const render = (text: string, vars = {}) => whenAnswered(() => templates.renderString(text, vars));
  return { asked, forget, render, templates };
}

describe("lookups on the controller", () => {
  it("are asked for once in a task, and anew in the next", async () => {
    const { asked, forget, render } = controller();
    const text = "{{ lookup('file', 'a.txt') }} {{ lookup('file', 'a.txt') }}";
    expect(await render(text)).toBe("text 1 text 1");
    expect(asked).toHaveLength(1);
    forget();
    expect(await render(text)).toBe("text 2 text 2");
  });

  it("name the directories to search", async () => {
    const { asked, render } = controller();
    await render("{{ lookup('file', 'a.txt') }}", { role_path: "/p/roles/r", playbook_dir: "/p" });
    await render("{{ lookup('file', 'a.txt') }}", { ansible_search_path: ["/p/roles/r/tasks", "/p"] });
    expect(asked.map(({ searchPath }) => searchPath)).toEqual([
      ["/p/roles/r", "/p"],
      ["/p/roles/r/tasks", "/p"],
    ]);
  });

  it("are not asked for what the bundle has", async () => {
    const { asked, render } = controller();
    expect(await render("{{ lookup('file', 'own.txt') }}")).toBe("of the bundle");
    expect(asked).toEqual([]);
  });

  it("fail as the controller says, and may be ignored", async () => {
    const { render } = controller();
    await expect(render("\n{{ lookup('file', 'b.txt') }}")).rejects.toMatchObject({
      code: "TEMPLATE_FAILED",
      message: "could not locate file in lookup: b.txt",
      location: { line: 2 },
    });
    expect(await render("<{{ lookup('file', 'b.txt', errors='ignore') }}>")).toBe("<>");
  });

  it("answer tests of paths, and serve conditions", async () => {
    const { templates } = controller();
    const ask = (condition: string) => whenAnswered(() => templates.condition(condition, {}));
    expect(await ask("'/there' is file and '/nowhere' is not exists")).toBe(true);
    expect(await ask("lookup('file', 'a.txt') is match('text')")).toBe(true);
  });
});
