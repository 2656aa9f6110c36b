import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, describe, expect, it } from "vitest";
import { createModules } from "../../../src/ansible/modules/registry.ts";
import { readAction } from "../../../src/cli/do/arguments.ts";
import { playbookOf } from "../../../src/cli/do/playbook.ts";
import { Data } from "../../../src/core/values/value.ts";
import * as volley from "../../../src/index.ts";

const cwd = mkdtempSync(join(tmpdir(), "volley-do-"));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));
writeFileSync(join(cwd, "motd"), "Hi {{ you }}\n");
writeFileSync(join(cwd, "names"), "nginx # the web server\n\ngit\n");
writeFileSync(join(cwd, "args.yaml"), "dest: /etc/motd\nmode: 0644\ncontent: !unsafe '{{ x }}'\n");
writeFileSync(join(cwd, "list.yaml"), "- a\n");
writeFileSync(join(cwd, "bytes"), Buffer.from([0x61, 0xff]));
mkdirSync(join(cwd, "library"));
writeFileSync(join(cwd, "library", "own_thing.sh"), "#!/bin/sh\n");
writeFileSync(join(cwd, "library", "snake.py"), "from ansible.module_utils.basic import AnsibleModule\n");

const read = (action: string, words: readonly string[], text?: string, stdin?: string) =>
  readAction(
    { action, words, text },
    { cwd, library: [], stdin: stdin === undefined ? undefined : Readable.from([stdin]) },
  );
const args = async (action: string, ...words: readonly string[]) => (await read(action, words)).args;

const modules = createModules(volley);
/** Arguments as an action gets them: `Data` is a text once it is rendered. */
const coerced = (name: string, given: Readonly<Record<string, unknown>>): unknown =>
  modules.coerce(modules.find(name)!, JSON.parse(JSON.stringify(given)));

describe("arguments of an action", () => {
  it("have the types of its parameters", async () => {
    const made = await args("apt", "name=nginx, git", "update_cache=yes", "cache_valid_time=3600");
    expect(coerced("apt", made)).toEqual({
      name: ["nginx", "git"],
      update_cache: true,
      cache_valid_time: 3600,
    });
    expect(coerced("file", await args("file", "path=/a", "mode=0644"))).toEqual({ path: "/a", mode: "0644" });
    expect(coerced("file", await args("file", "path=/a", "mode=u=rw,g="))).toMatchObject({ mode: "u=rw,g=" });
  });

  it("are lists when written twice, or in JSON; and dicts in JSON", async () => {
    expect(await args("apt", "name=nginx", "name=git")).toEqual({ name: ["nginx", "git"] });
    expect(await args("apt", 'name=["nginx","git"]')).toEqual({ name: ["nginx", "git"] });
    expect(await args("command", 'argv=["ls","-l /x"]')).toEqual({ argv: ["ls", "-l /x"] });
    expect(await args("uri", "url=http://a", 'headers={"X-A":"1"}')).toMatchObject({
      headers: { "X-A": "1" },
    });
    await expect(args("file", "path=/a", "path=/b")).rejects.toThrow("file: path is given twice");
  });

  it("are texts as the shell passes them", async () => {
    const content = `content= a  "b" 'c' \\n={"x": [1]}`;
    expect(await args("copy", "dest=/a", content)).toEqual({ dest: "/a", content: content.slice(8) });
    expect(await args("copy", "dest=/a", "content=")).toEqual({ dest: "/a", content: "" });
    expect(await args("copy", "dest=/a", "content=@@x")).toEqual({ dest: "/a", content: "@x" });
    expect(await args("debug", "msg={{ x }}")).toEqual({ msg: "{{ x }}" });
  });

  it("come from files and standard input, and are no templates then", async () => {
    expect(await args("copy", "dest=/a", "content=@motd")).toEqual({
      dest: "/a",
      content: new Data("Hi {{ you }}\n"),
    });
    expect(await args("apt", "name=@names")).toEqual({ name: [new Data("nginx"), new Data("git")] });
    const { args: piped } = await read("copy", ["dest=/a", "content=@-"], undefined, "in\n");
    expect(piped.content).toEqual(new Data("in\n"));
    expect(await args("copy", "@args.yaml", "dest=/b")).toEqual({
      dest: "/b",
      mode: 0o644,
      content: new Data("{{ x }}"),
    });
    expect(await args("copy", '{"dest": "/a", "content": "x"}')).toEqual({ dest: "/a", content: "x" });
  });

  it("may be in one text, as ansible takes them", async () => {
    const { args: made } = await read("lineinfile", ["line=c"], `path=/a line="a b" create=yes`);
    expect(made).toEqual({ path: "/a", line: "c", create: "yes" });
    expect((await read("copy", [], '{"dest": "/a", "content": "x"}')).args).toMatchObject({ content: "x" });
    expect((await read("shell", [], "ls -l | wc chdir=/srv")).args).toEqual({
      _raw_params: "ls -l | wc",
      chdir: "/srv",
    });
  });

  it("are a command's words", async () => {
    expect(await args("command", "uptime")).toEqual({ _raw_params: "uptime" });
    expect(await args("command", "ls", "-l", "a  b", "chdir=/srv")).toEqual({
      argv: ["ls", "-l", "a  b"],
      chdir: "/srv",
    });
    expect(await args("shell", "ls", "|", "wc")).toEqual({ _raw_params: "ls | wc" });
    expect(await args("script", "./a.sh", "two words", "x=1")).toEqual({
      _raw_params: "./a.sh 'two words' x=1",
    });
    expect(await args("command", "dd", "if=/a", "of=/b")).toEqual({
      argv: ["dd", "if=/a", "of=/b"],
    });
    expect(await args("include_tasks", "a.yml")).toEqual({ _raw_params: "a.yml" });
  });

  it("belong to an action under any of its names, and to modules of one's own", async () => {
    expect(await read("ansible.builtin.apt", ["name=x"])).toMatchObject({
      module: "ansible.builtin.apt",
      name: "apt",
    });
    expect(await read("apt-key", ["id=12345678", "state=absent"])).toMatchObject({ module: "apt_key" });
    expect(await read("own_thing", ["anything=1"])).toMatchObject({ args: { anything: "1" } });
  });
});

describe("faults, told before any host is touched", () => {
  it.each([
    ["aptt", [], 'there is no action "aptt"; did you mean "apt"?'],
    ["snake", [], "needs Ansible's Python"],
    ["apt", ["nmae=x"], 'apt has no parameter "nmae"; did you mean "name"?'],
    ["apt", ["nginx"], '"nginx" is no parameter of apt'],
    ["apt", ["name=x", "state=newest"], 'parameter "state": must be'],
    ["apt", ["update_cache=maybe"], 'parameter "update_cache": must be boolean, not "maybe"'],
    ["copy", ["content=x"], 'copy requires the parameter "dest"'],
    ["copy", ["content=x", "src=y", "dest=/a"], "content"],
    ["copy", ["dest=/a", "content=@none"], "cannot read none: there is no such file"],
    ["copy", ["dest=/a", "content=@bytes"], "bytes is not UTF-8, line 1"],
    ["copy", ["dest=/a", "content=@-"], "standard input can be read only once"],
    ["copy", ["@list.yaml"], "list.yaml holds no mapping of parameters to values"],
    ["copy", ["{dest: /a}"], "the arguments begin with { and are no JSON"],
    ["setup", ["filters=x"], 'setup has no parameter "filters"; did you mean "filter"?'],
    ["include_role", [], 'include_role requires "name" or "role"'],
    ["shell", [], "shell"],
    ["meta", ["nop"], 'meta has no action "nop"; did you mean "noop"?'],
    ["debug", ["msg=a", "var=b"], 'debug takes either "msg" or "var"'],
    ["command", ["ls", "-l"], "given twice", "uptime"],
  ])("%s %j", async (action, words, message, text?: string) => {
    await expect(read(action, words, text)).rejects.toMatchObject({
      code: "USAGE",
      message: expect.stringContaining(message),
    });
  });

  it("name what there is", async () => {
    await expect(args("group", "nme=x")).rejects.toMatchObject({
      hint: expect.stringMatching(/^it takes: name, /),
    });
    await expect(args("apt", "nginx")).rejects.toMatchObject({
      hint: "parameters are written key=value, such as name=nginx",
    });
  });
});

describe("every documented example", () => {
  type Described = {
    readonly description: {
      readonly name: string;
      readonly examples: readonly Readonly<Record<string, unknown>>[];
    };
  };
  const described = Object.values<unknown>(volley).filter(
    (each): each is Described => typeof each === "function" && "description" in each,
  );
  const word = ([name, value]: readonly [string, unknown]): string => {
    if (typeof value === "string") return `${name}=${value.replace(/^@/, "@@")}`;
    // A command line has permission bits in octal.
    if (typeof value === "number" && name.endsWith("mode")) return `${name}=0${value.toString(8)}`;
    return `${name}=${JSON.stringify(value)}`;
  };

  it("reaches its action from words as it does from a playbook", async () => {
    let many = 0;
    for (const { description } of described) {
      for (const example of description.examples) {
        const given = JSON.parse(JSON.stringify(example)) as Readonly<Record<string, unknown>>;
        const made = await args(description.name, ...Object.entries(given).map(word));
        expect(normal(coerced(description.name, made)), description.name).toEqual(
          normal(coerced(description.name, given)),
        );
        many++;
      }
    }
    expect(many).toBeGreaterThan(150);
  });

  /** One spelling of permission bits, JSON, lists of one, and numbers where an action takes texts, too. */
  function normal(value: unknown): unknown {
    const text = JSON.stringify(value).replace(/"0o?([0-7]{3,4})"/g, '"0$1"');
    return JSON.parse(text, (_key, item: unknown) =>
      Array.isArray(item) && item.length === 1
        ? item[0]
        : typeof item === "string" && item.startsWith('{"')
          ? JSON.parse(item)
          : typeof item === "number"
            ? String(item)
            : item,
    );
  }
});

it("a play is YAML whatever its texts hold", async () => {
  const content = 'é \x7f\x85\u2028 \\ " {% x %} #\n\t- a: b';
  const { text } = playbookOf("web", await read("copy", ["dest=/a", `content=${content}`]));
  const { parse } = await import("yaml");
  expect(parse(text)).toEqual([
    {
      ...{ name: "web", hosts: "web", gather_facts: true },
      tasks: [{ name: "copy", copy: { dest: "/a", content } }],
    },
  ]);
});
