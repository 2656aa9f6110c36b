import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import * as v from "valibot";
import { describe, expect, it, vi } from "vitest";
import {
  actions,
  callText,
  constraintsOf,
  findAction,
  literal,
  parametersOf,
  summaryOf,
  typeText,
} from "../../src/cli/reference/actions.ts";
import { addDocCommand } from "../../src/cli/reference/doc.ts";
import { referenceMarkdown } from "../../src/cli/reference/markdown.ts";
import { documentAction, listActions, renderMarkdown, wrap } from "../../src/cli/reference/terminal.ts";
import * as volley from "../../src/index.ts";

const REFERENCE = fileURLToPath(new URL("../../REFERENCE.md", import.meta.url));
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern finds control sequences
const ESCAPES = /\u001b\[\d+m/g;
const described = [...actions.values()];

/** Return the output of `volley doc`. */
async function volleyDoc(...args: readonly string[]): Promise<string> {
  const program = new Command("volley");
  addDocCommand(program);
  const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  try {
    await program.parseAsync(["doc", ...args], { from: "user" });
    return write.mock.calls.map(([text]) => String(text)).join("");
  } finally {
    write.mockRestore();
  }
}

describe("REFERENCE.md", () => {
  it("says what the definitions say", () => {
    const stored = existsSync(REFERENCE) ? readFileSync(REFERENCE, "utf8") : "";
    expect(stored, "REFERENCE.md is stale: `npm run docs` writes it anew").toBe(referenceMarkdown());
  });

  it("is what `volley doc --markdown` prints", async () => {
    expect(await volleyDoc("--markdown")).toBe(referenceMarkdown());
  });

  it("has tables whose rows all have as many cells as their head", () => {
    for (const block of referenceMarkdown().split("\n\n")) {
      if (!block.startsWith("| ")) continue;
      const cells = block.split("\n").map((row) => row.split(/(?<!\\)\|/).length);
      expect(new Set(cells), block).toHaveLength(1);
    }
  });

  it("has a heading for every link of its own", () => {
    const text = referenceMarkdown();
    const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading.toLowerCase());
    for (const [, target] of text.matchAll(/\]\(#([^)]+)\)/g)) expect(headings).toContain(target);
  });
});

describe("the actions", () => {
  it("are all that is exported, each by its own name", () => {
    const exported = Object.entries<unknown>(volley).flatMap(([name, value]) =>
      typeof value === "function" && "description" in value ? [name] : [],
    );
    expect([...actions.keys()]).toEqual(exported.sort());
    expect(exported).toContain("copy");
  });

  it.each(described)(
    "$name has a summary, examples that are valid, and a description of every parameter",
    (action) => {
      expect(summaryOf(action.doc)).toMatch(/\.$/);
      expect(action.examples).not.toHaveLength(0);
      for (const example of action.examples) {
        expect(v.safeParse(action.params, example).issues, JSON.stringify(example)).toBeUndefined();
      }
      for (const { name, description } of parametersOf(action.params))
        expect(description, name).toMatch(/\S/);
    },
  );

  it.each(described)(
    "$name fits a terminal of 80 columns, and colour changes nothing but colour",
    ({ name }) => {
      const text = documentAction(name);
      const [prose = ""] = text.split("\nExamples\n");
      for (const line of prose.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
      const colored = documentAction(name, { color: true, columns: 80 });
      expect(colored).toMatch(ESCAPES);
      const plain = (given: string): string => given.replaceAll(ESCAPES, "").replaceAll("`", "");
      expect(plain(colored)).toBe(plain(text));
    },
  );
});

describe("volley doc", () => {
  it("lists the actions by name with their summaries", () => {
    const lines = listActions().split("\n");
    const names = lines.flatMap((line) => /^ {2}(\w+) {2,}\S/.exec(line)?.[1] ?? []);
    expect(names).toEqual([...actions.keys()]);
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it("shows an action's description, parameters, constraints and examples", () => {
    const text = documentAction("copy");
    expect(text).toMatch(/^copy\n {2}Copy a file/);
    expect(text).toContain("\nParameters\n  src: string\n      A file or directory");
    expect(text).toContain("\n  dest: string, required\n");
    expect(text).toContain("\n  force: boolean, default true\n");
    expect(text).toContain(
      "\nConstraints\n  - src and content are mutually exclusive\n  - src (or content) is required\n",
    );
    expect(text).toContain('\nExamples\n  copy({ src: "motd", dest: "/etc/motd", mode: "0644" })\n');
    expect(text).toMatch(/Every task also takes when, notify, loop/);
  });

  it("takes an action's name, or none", async () => {
    expect(await volleyDoc()).toContain("volley doc ACTION");
    expect(await volleyDoc("copy")).toContain("given content");
    await expect(volleyDoc("nothing-like-it")).rejects.toMatchObject({ code: "USAGE" });
  });

  it("knows the names Ansible users write", () => {
    expect(findAction("ansible.builtin.copy").name).toBe("copy");
    expect(findAction("get-url").name).toBe("get_url");
  });

  it("says which action was meant", () => {
    expect(() => documentAction("cpoy")).toThrowError(
      expect.objectContaining({ code: "USAGE", message: 'there is no action "cpoy"; did you mean "copy"?' }),
    );
    expect(() => documentAction("something-else")).toThrowError('there is no action "something-else"');
  });
});

describe("schemas", () => {
  it.each<readonly [string, v.GenericSchema]>([
    ["string", v.string()],
    ["string", v.pipe(v.string(), v.nonEmpty(), v.description("Text."))],
    ["boolean", v.optional(v.boolean(), true)],
    ["string | string[]", v.pipe(v.union([v.string(), v.array(v.string())]), v.transform(String))],
    ["(string | number)[]", v.array(v.union([v.string(), v.number()]))],
    ['"a"[]', v.array(v.picklist(["a"]))],
    ['("a | b" | "c")[]', v.array(v.picklist(["a | b", "c"]))],
    ["{ a?: string; b: number }[]", v.array(v.strictObject({ a: v.optional(v.string()), b: v.number() }))],
    ["string | 1", v.union([v.string(), v.pipe(v.string(), v.digits()), v.literal(1)])],
    ['"present" | "absent"', v.picklist(["present", "absent"])],
    ["Record<string, unknown>", v.record(v.string(), v.unknown())],
    ["[string, number | null]", v.tuple([v.string(), v.nullable(v.number())])],
    ["string | null", v.nullish(v.string())],
    ["unknown", v.custom<string>((value) => value === "a")],
    [
      "() => boolean",
      v.pipe(
        v.custom<() => boolean>(() => true),
        v.title("() => boolean"),
      ),
    ],
    [
      "(() => boolean)[]",
      v.array(
        v.pipe(
          v.custom<() => boolean>(() => true),
          v.title("() => boolean"),
        ),
      ),
    ],
    ["Date", v.date()],
  ])("are shown as TypeScript: %s", (type, schema) => {
    expect(typeText(schema)).toBe(type);
  });

  it("tell of parameters, also through pipes and wrappers", () => {
    const schema = v.pipe(
      v.strictObject({
        path: v.pipe(v.string(), v.description("Where.")),
        mode: v.optional(v.pipe(v.number(), v.description("Bits.")), 0o640),
        words: v.pipe(v.optional(v.array(v.string()), ["a"]), v.description("Some.")),
        plain: v.optional(v.string()),
      }),
      v.check(({ plain }) => plain !== "", "plain must not be empty"),
      v.transform(({ path }) => path),
    );
    expect(parametersOf(schema)).toEqual([
      { name: "path", type: "string", required: true, initial: undefined, description: "Where." },
      { name: "mode", type: "number", required: false, initial: "0o640", description: "Bits." },
      { name: "words", type: "string[]", required: false, initial: '["a"]', description: "Some." },
      { name: "plain", type: "string", required: false, initial: undefined, description: "" },
    ]);
    expect(constraintsOf(schema)).toEqual(["plain must not be empty"]);
    expect(parametersOf(v.string())).toEqual([]);
  });
});

describe("values and calls", () => {
  it("are TypeScript", () => {
    expect(literal({ "a-b": [1, "x\n", null], mode: 0o600, size: 384, f: () => 1, none: undefined })).toBe(
      '{ "a-b": [1, "x\\n", null], mode: 0o600, size: 384, f: () => … }',
    );
    expect(literal(['say "\\"', `it's "so"`])).toBe(String.raw`['say "\\"', "it's \"so\""]`);
    expect(callText("noop", {}, 80)).toBe("noop({})");
  });

  it("are broken into lines where they are too long", () => {
    const params = { name: ["one", "two"], state: "present" };
    expect(callText("apt", params, 80)).toBe('apt({ name: ["one", "two"], state: "present" })');
    expect(callText("apt", params, 30)).toBe('apt({\n  name: ["one", "two"],\n  state: "present",\n})');
    expect(callText("apt", params, 20)).toBe(
      'apt({\n  name: [\n    "one",\n    "two",\n  ],\n  state: "present",\n})',
    );
  });
});

describe("text for a terminal", () => {
  it("is wrapped between words, never within code", () => {
    expect(wrap("one two three", 7)).toEqual(["one two", "three"]);
    expect(wrap("write (`a b c`), then", 10)).toEqual(["write", "(`a b c`),", "then"]);
    expect(wrap("  ", 10)).toEqual([]);
  });

  it("keeps paragraphs, lists and code blocks apart", () => {
    const text = renderMarkdown("One\ntwo.\n\n- a b c d e f g h i j k l\n- m\n\n```ts\nlet x;\n```", "  ", {
      color: false,
      columns: 24,
    });
    expect(text).toBe("  One two.\n\n  - a b c d e f g h i j\n    k l\n  - m\n\n    let x;\n");
  });
});

describe("summaries", () => {
  it("are the first sentence", () => {
    expect(summaryOf("Sets `a.b` to 1.5\nat once. More.")).toBe("Sets `a.b` to 1.5 at once.");
    expect(summaryOf("No full stop")).toBe("No full stop");
  });
});
