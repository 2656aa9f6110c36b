import * as v from "valibot";
import { type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessOptions, ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { flag, nameText, oneOf, optionalText } from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";
import { failureText, runTool } from "../shared/run-tool.ts";

const params = v.pipe(
  v.strictObject({
    name: v.optional(nameText("The setting, such as `core.editor`.")),
    value: v.optional(v.pipe(v.string(), v.description("Its value. Without one the setting is only read."))),
    state: oneOf(["present", "absent"], "present", "`absent` removes all values."),
    scope: v.optional(
      v.pipe(
        v.picklist(["local", "global", "system", "file"]),
        v.description(
          "The file to change: the repository's, the user's, the machine's, or `file`. To read, the default is all of them.",
        ),
      ),
    ),
    repo: optionalText("The repository, for the scope `local`."),
    file: optionalText("The file, for the scope `file`."),
    add_mode: oneOf(
      ["add", "replace-all"],
      "replace-all",
      "Add a value to others, or put it in the place of all.",
    ),
    list_all: flag("Read all settings."),
  }),
  v.check(({ name, list_all }) => list_all !== (name !== undefined), "give either name or list_all"),
  v.check(({ scope, repo }) => scope !== "local" || repo !== undefined, 'scope "local" needs repo'),
  v.check(({ scope, file }) => scope !== "file" || file !== undefined, 'scope "file" needs file'),
  v.check(
    ({ scope, value, state }) => scope !== undefined || (value === undefined && state === "present"),
    "If a value is specified, all parameters are necessary: give scope",
  ),
);

type ConfigParams = v.InferOutput<typeof params>;

/** The data of a git_config task. */
interface ConfigData {
  /** Ansible's message. */
  readonly msg: string;
  readonly config_value?: string;
  readonly config_values?: Readonly<Record<string, string>>;
}

interface ConfigChange extends Change {
  readonly argv: readonly string[];
  readonly options: ProcessOptions;
}

/** Read and set git's settings. */
export const git_config = defineAction<typeof params, ConfigChange, ConfigData>({
  name: "git_config",
  doc: "Set or remove a setting of git, or read one (`config_value`) or all (`config_values`).",
  params,
  examples: [
    { name: "user.email", scope: "global", value: "root@example.org" },
    { name: "core.autocrlf", scope: "local", repo: "/srv/app", state: "absent" },
    { list_all: true, scope: "system" },
  ],
  title: ({ name, value }) => (name === undefined ? "" : value === undefined ? name : `${name} = ${value}`),

  async inspect(given, system, { facts }): Promise<ConfigChange | Unchanged<ConfigData>> {
    if ((await system.which("git")) === null)
      throw new VolleyError("ACTION_FAILED", "there is no git on this host; install the package git");
    const { name, value, state, add_mode, list_all } = given;
    const base = ["git", "config", "--includes", ...(await scopeOf(given, system, facts.env))];
    const repo = given.repo === undefined ? undefined : await expandPath(system, given.repo, facts.env);
    // Outside of a repository git must not find one by chance.
    const options: ProcessOptions = { cwd: repo ?? "/", env: { LC_ALL: "C" } };
    if (list_all) {
      const lines = await ask(system, [...base, "-l"], options);
      const pairs = lines.map((line) => [line.split("=", 1)[0]!, line.slice(line.indexOf("=") + 1)]);
      return unchanged({ msg: "", config_values: Object.fromEntries(pairs) as Record<string, string> });
    }
    const before = await ask(system, [...base, "--get-all", name!], options);
    if (state === "present" && value === undefined)
      return unchanged({ msg: "", config_value: before.at(-1) ?? "" });
    const without = base.filter((word) => word !== "--includes");
    if (state === "absent") {
      if (before.length === 0) return unchanged({ msg: "" });
      return {
        argv: [...without, "--unset-all", name!],
        options,
        diff: diffOf(given, before, []),
        data: CHANGED,
      };
    }
    const isThere = add_mode === "add" ? before.includes(value!) : before.length === 1 && before[0] === value;
    if (isThere) return unchanged({ msg: "" });
    const after = add_mode === "add" ? [...before, value!] : [value!];
    return {
      argv: [...without, `--${add_mode}`, name!, value!],
      options,
      diff: diffOf(given, before, after),
      data: CHANGED,
    };
  },

  async apply({ argv, options }, { name }, system, { signal }) {
    await runTool(system, argv, `set ${name}`, { ...options, signal });
    return { data: CHANGED };
  },
});

const CHANGED: ConfigData = { msg: "setting changed" };

async function scopeOf(
  { scope, file }: ConfigParams,
  system: ReadSystem,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly string[]> {
  if (scope === undefined) return [];
  return scope === "file" ? ["-f", await expandPath(system, file!, env)] : [`--${scope}`];
}

/** Ask git; no value, and a file that is not there, is an empty answer. */
async function ask(
  system: ReadSystem,
  argv: readonly string[],
  options: ProcessOptions,
): Promise<readonly string[]> {
  const asked = await system.query(argv, options);
  const isNothing = asked.code === 1 || /unable to read config file .*No such file/i.test(asked.stderr);
  if (asked.code !== 0 && !isNothing)
    throw new VolleyError("ACTION_FAILED", `cannot read git's settings: ${failureText(asked)}`);
  return asked.stdout === "" || asked.code !== 0 ? [] : asked.stdout.replace(/\n$/, "").split("\n");
}

function diffOf({ name }: ConfigParams, before: readonly string[], after: readonly string[]) {
  const text = (values: readonly string[]): string | null =>
    values.length === 0 ? null : `${values.join("\n")}\n`;
  return { path: `git setting ${name}`, before: text(before), after: text(after) };
}
