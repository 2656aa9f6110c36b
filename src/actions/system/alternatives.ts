import * as v from "valibot";
import { type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { describe, nameText, oneOf, optionalText, text } from "../shared/params.ts";
import { runTool } from "../shared/run-tool.ts";

const absolute = (description: string) =>
  v.pipe(v.string(), v.startsWith("/", "must be an absolute path"), v.description(description));

const params = v.pipe(
  v.strictObject({
    name: nameText("The name of the group, such as `editor`."),
    path: v.optional(absolute("The program or file that is the alternative.")),
    link: v.optional(
      absolute("The link that leads to the chosen alternative; required for a group that is new."),
    ),
    priority: v.optional(
      describe(
        v.pipe(v.number(), v.integer()),
        "The highest one wins in automatic mode. Default: 50 for a new alternative, else as it is.",
      ),
    ),
    state: oneOf(
      ["present", "absent", "selected", "auto"],
      "selected",
      "`present`: it can be chosen. `selected`: it is chosen. `auto`: it can be chosen, and the group is in automatic mode. `absent`: it cannot be chosen.",
    ),
    subcommands: v.optional(
      describe(
        v.array(
          v.strictObject({
            name: text("Name."),
            link: absolute("The link."),
            path: absolute("The file of this alternative."),
          }),
        ),
        "Links that follow the group's link, such as manual pages. Default: as they are.",
      ),
    ),
    family: optionalText("The family of the alternative, on systems of the Red Hat family."),
  }),
  v.check(
    ({ path, family }) => path !== undefined || family !== undefined,
    "path is required; on systems of the Red Hat family, family may stand for it",
  ),
);

interface Slave {
  readonly name: string;
  readonly link: string;
  readonly path: string;
}

interface Alternative {
  readonly path: string;
  readonly priority: number;
  readonly family: string | undefined;
  readonly slaves: readonly Slave[];
}

/** A group of alternatives. */
interface Group {
  readonly link: string | undefined;
  readonly mode: "auto" | "manual";
  readonly value: string | undefined;
  readonly alternatives: readonly Alternative[];
}

interface AlternativesChange extends Change {
  readonly commands: readonly (readonly string[])[];
}

const TOOL = "update-alternatives";

/** Choose between programs of one purpose. */
export const alternatives = defineAction<typeof params, AlternativesChange>({
  name: "alternatives",
  doc: `Choose the program for a name that several programs can have, such as \`editor\`, with \`update-alternatives\`.

An alternative that is unknown, or has another priority or other subcommands, is installed first.`,
  params,
  aliases: { slaves: "subcommands" },
  examples: [
    { name: "editor", path: "/usr/bin/vim.basic" },
    { name: "python", path: "/usr/bin/python3", link: "/usr/bin/python", priority: 10, state: "present" },
    { name: "editor", path: "/bin/ed", state: "auto" },
  ],
  title: ({ name, path }) => (path === undefined ? name : `${name} ${path}`),

  async inspect(given, system, context) {
    const { name, state, family } = given;
    if ((await system.which(TOOL)) === null)
      throw new VolleyError(
        "ACTION_FAILED",
        `there is no ${TOOL} on this host; install the package that has it (dpkg, chkconfig)`,
      );
    const group = await readGroup(name, system);
    const current = group.alternatives.find((one) =>
      given.path === undefined ? one.family === family : one.path === given.path,
    );
    const path = given.path ?? current?.path;
    if (path === undefined) {
      if (state === "absent") return unchanged();
      throw new VolleyError(
        "ACTION_FAILED",
        `no alternative of ${name} has the family ${family}; name its path`,
      );
    }
    if (state === "absent") {
      if (current === undefined) return unchanged();
      const diff = {
        path: `alternative ${name} ${path}`,
        attributes: { state: ["present", "absent"] as const },
      };
      return { commands: [[TOOL, "--remove", name, path]], diff };
    }
    const commands: (readonly string[])[] = [];
    const attributes: Record<string, readonly [string, string]> = {};
    const priority = given.priority ?? current?.priority ?? 50;
    const slaves = given.subcommands ?? current?.slaves ?? [];
    if (current === undefined || priority !== current.priority || !sameSlaves(slaves, current.slaves)) {
      const link = given.link ?? group.link;
      if (link === undefined)
        throw new VolleyError(
          "ACTION_FAILED",
          `there are no alternatives for ${name} yet; give the link, too`,
        );
      if ((await system.stat(path)) === null) {
        const message = `Specified path ${path} does not exist, and cannot be an alternative for ${name}`;
        if (!context.check) throw new VolleyError("ACTION_FAILED", message);
        return { commands: [], unknown: message };
      }
      const followers = slaves.flatMap((slave) => ["--slave", slave.link, slave.name, slave.path]);
      const kin = family === undefined ? [] : ["--family", family];
      commands.push([TOOL, "--install", link, name, path, String(priority), ...kin, ...followers]);
      if (current === undefined) attributes.alternative = ["", path];
      if (priority !== current?.priority)
        attributes.priority = [String(current?.priority ?? ""), String(priority)];
      if (!sameSlaves(slaves, current?.slaves ?? []))
        attributes.subcommands = [slaveText(current?.slaves ?? []), slaveText(slaves)];
    }
    if (state === "selected" && group.value !== path) {
      commands.push([TOOL, "--set", name, path]);
      attributes.selected = [group.value ?? "", path];
    }
    if (state === "auto" && group.mode === "manual") {
      commands.push([TOOL, "--auto", name]);
      attributes.mode = ["manual", "auto"];
    }
    if (commands.length === 0) return unchanged();
    return { commands, diff: { path: `alternatives ${name}`, attributes } };
  },

  async apply({ commands }, { name }, system, { signal }) {
    for (const argv of commands)
      await runTool(system, argv, `${argv[1]?.replace(/^--/, "")} the alternative of ${name}`, {
        signal,
        env: { LC_ALL: "C" },
      });
  },
});

function slaveText(slaves: readonly Slave[]): string {
  return [...slaves]
    .map(({ name, link, path }) => `${name} ${link} ${path}`)
    .sort()
    .join(", ");
}

function sameSlaves(one: readonly Slave[], other: readonly Slave[]): boolean {
  return slaveText(one) === slaveText(other);
}

async function readGroup(name: string, system: ReadSystem): Promise<Group> {
  const options = { env: { LC_ALL: "C" } };
  const queried = await system.query([TOOL, "--query", name], options);
  if (queried.code === 0) return readQuery(queried.stdout);
  // Red Hat's program has no --query.
  const shown = await system.query([TOOL, "--display", name], options);
  return readDisplay(shown.code === 0 ? shown.stdout : "");
}

/** Read the answer of Debian's `update-alternatives --query`: paragraphs of fields, of the group and of each alternative. */
function readQuery(text: string): Group {
  const [head = "", ...rest] = text.split(/\n\s*\n/);
  const field = (part: string, name: string): string | undefined =>
    new RegExp(`^${name}: (.*)$`, "m").exec(part)?.[1];
  const slavesOf = (part: string): ReadonlyMap<string, string> => {
    const lines = /^Slaves:((?:\n .+)*)/m.exec(part)?.[1] ?? "";
    return new Map([...lines.matchAll(/^ (\S+) (.+)$/gm)].map(([, name = "", path = ""]) => [name, path]));
  };
  const links = slavesOf(head);
  const value = field(head, "Value");
  return {
    link: field(head, "Link"),
    mode: field(head, "Status") === "manual" ? "manual" : "auto",
    value: value === "none" ? undefined : value,
    alternatives: rest.flatMap((part) => {
      const path = field(part, "Alternative");
      if (path === undefined) return [];
      const slaves = [...slavesOf(part)].map(([name, file]) => ({
        name,
        link: links.get(name) ?? "",
        path: file,
      }));
      return [{ path, priority: Number(field(part, "Priority")), family: undefined, slaves }];
    }),
  };
}

/** Read the answer of Red Hat's `update-alternatives --display`. */
function readDisplay(text: string): Group {
  const alternatives: { path: string; priority: number; family: string | undefined; slaves: Slave[] }[] = [];
  for (const line of text.split("\n")) {
    const [, path, family, priority] = /^(\/.*?) - (?:family (\S+) )?priority (-?\d+)/.exec(line) ?? [];
    if (path !== undefined) alternatives.push({ path, family, priority: Number(priority), slaves: [] });
    const [, name, file] = /^ (?:slave|follower) (\S+): (.+)$/.exec(line) ?? [];
    // The listing does not name the followers' links.
    if (name !== undefined && file !== undefined && file !== "(null)")
      alternatives.at(-1)?.slaves.push({ name, link: "", path: file });
  }
  return {
    link: /link \S+ is (.+)$/m.exec(text)?.[1],
    mode: /status is manual|manual mode/.test(text) ? "manual" : "auto",
    value: /link currently points to (.+)$/m.exec(text)?.[1],
    alternatives,
  };
}
