import * as v from "valibot";
import { type ActionContext, ActionFailure, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem } from "../../core/system.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { defineAction } from "../define.ts";
import { describe, oneOf } from "../shared/params.ts";
import { commandWords, failureText } from "../shared/run-tool.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

const params = v.strictObject({
  name: v.pipe(
    v.string(),
    v.regex(/^[A-Za-z0-9][\w+-]*$/, "must be the name of a kernel module, such as br_netfilter"),
    v.description("The kernel module."),
  ),
  params: v.optional(describe(v.string(), "Parameters of the module: `numdummies=2`."), ""),
  state: oneOf(["present", "absent"], "present", "Load or unload it now."),
  persistent: oneOf(
    ["disabled", "absent", "present"],
    "disabled",
    "`present` loads it at each boot, with `params`; `absent` comments out the lines that do; `disabled` leaves the files alone.",
  ),
});

type ModprobeParams = v.InferOutput<typeof params>;

const LOAD = "/etc/modules-load.d";
const OPTIONS = "/etc/modprobe.d";

interface ModprobeChange extends Change {
  /** The command to run; null when only files differ. */
  readonly argv: readonly string[] | null;
  readonly files: readonly FileChange[];
}

/** The data of a modprobe task. */
interface ModprobeData {
  readonly name: string;
  readonly params: string;
  readonly state: string;
}

/** Load and unload kernel modules. */
export const modprobe = defineAction<typeof params, ModprobeChange, ModprobeData>({
  name: "modprobe",
  doc: `Load or unload a kernel module, now and, with \`persistent\`, at each boot.

A module that is built into the kernel counts as loaded. The parameters of a loaded module are not compared; those in \`${OPTIONS}\` are. \`persistent: "present"\` writes \`${LOAD}/NAME.conf\` and, for parameters, \`${OPTIONS}/NAME.conf\`, unless another file there says the same.`,
  params,
  examples: [
    { name: "br_netfilter", persistent: "present" },
    { name: "dummy", params: "numdummies=2" },
    { name: "pcspkr", state: "absent" },
  ],
  title: ({ name }) => name,

  async inspect(given, system, context) {
    const { name, state, persistent } = given;
    const loaded = await isLoaded(name, system);
    const argv =
      loaded === (state === "present")
        ? null
        : state === "present"
          ? ["modprobe", name, ...commandWords(given.params)]
          : ["modprobe", "-r", name];
    const files = persistent === "disabled" ? [] : await persist(given, system, context);
    if (argv === null && files.length === 0) return unchanged(dataOf(given));
    const diff: readonly Diff[] = [
      ...(argv === null
        ? []
        : [
            {
              path: `kernel module ${name}`,
              attributes: { state: [loaded ? "present" : "absent", state] as const },
            },
          ]),
      ...files.map((file) => file.diff),
    ];
    return { argv, files, diff, data: dataOf(given) };
  },

  async apply({ argv, files }, given, system, { signal }) {
    if (argv !== null) {
      if ((await system.which("modprobe")) === null)
        throw new VolleyError("ACTION_FAILED", "there is no modprobe on this host; install the package kmod");
      const result = await system.run(argv, { signal });
      if (result.code !== 0) {
        const { code: rc, stdout, stderr } = result;
        const deed = given.state === "present" ? "load" : "unload";
        throw new ActionFailure(
          "ACTION_FAILED",
          `cannot ${deed} the kernel module ${given.name}: ${failureText(result)}`,
          { ...dataOf(given), rc, stdout, stderr },
        );
      }
    }
    for (const file of files) await applyFile(file, system);
    return { data: dataOf(given) };
  },
});

function dataOf({ name, params, state }: ModprobeParams): ModprobeData {
  return { name, params, state };
}

/** The kernel writes a module's name with underscores; files and people may write dashes. */
function kernelName(name: string): string {
  return name.replaceAll("-", "_");
}

async function isLoaded(name: string, system: ReadSystem): Promise<boolean> {
  const wanted = kernelName(name);
  const loaded = (await system.readIfExists("/proc/modules"))?.toString("utf8") ?? "";
  if (loaded.split("\n").some((line) => line.split(" ")[0] === wanted)) return true;
  const release = (await system.readIfExists("/proc/sys/kernel/osrelease"))?.toString("utf8").trim();
  const builtin =
    release === undefined ? null : await system.readIfExists(`/lib/modules/${release}/modules.builtin`);
  if (builtin === null) return false;
  return builtin
    .toString("utf8")
    .split("\n")
    .some((path) => kernelName(/([^/]+)\.ko$/.exec(path)?.[1] ?? "") === wanted);
}

/** A file of modules-load.d(5) or modprobe.d(5). */
interface ConfigFile {
  readonly path: string;
  readonly text: string;
}

async function readFolder(folder: string, system: ReadSystem): Promise<readonly ConfigFile[]> {
  if ((await system.stat(folder))?.type !== "directory") return [];
  const files: ConfigFile[] = [];
  for (const name of await system.list(folder)) {
    const path = `${folder}/${name}`;
    if (!name.endsWith(".conf") || (await system.stat(path))?.type !== "file") continue;
    files.push({ path, text: bytesToText(await system.readFile(path)) });
  }
  return files;
}

async function persist(
  { name, params, persistent }: ModprobeParams,
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly FileChange[]> {
  const wanted = kernelName(name);
  const loads = (line: string): boolean => kernelName(line.trim()) === wanted;
  const optionsOf = (line: string): readonly string[] | null => {
    const [, module = "", given = ""] = /^\s*options\s+(\S+)\s*(.*)$/.exec(line) ?? [];
    return kernelName(module) === wanted ? given.split(/\s+/).filter((word) => word !== "") : null;
  };
  const isOption = (line: string): boolean => optionsOf(line) !== null;
  const loading = await readFolder(LOAD, system);
  const options = await readFolder(OPTIONS, system);
  const texts = new Map<string, string>();
  if (persistent === "absent") {
    for (const { path, text } of loading) texts.set(path, commentOut(text, loads));
    for (const { path, text } of options) texts.set(path, commentOut(text, isOption));
  } else {
    if (!loading.some(({ text }) => text.split("\n").some(loads))) {
      const path = `${LOAD}/${name}.conf`;
      texts.set(path, withLines(loading.find((file) => file.path === path)?.text ?? "", [name]));
    }
    const present = options.flatMap(({ text }) => text.split("\n").flatMap((line) => optionsOf(line) ?? []));
    const asked = params.split(/\s+/).filter((word) => word !== "");
    if (asked.length > 0 && !sameWords(present, asked)) {
      for (const { path, text } of options) texts.set(path, commentOut(text, isOption));
      const path = `${OPTIONS}/${name}.conf`;
      const lines = asked.map((word) => `options ${name} ${word}`);
      texts.set(path, withLines(texts.get(path) ?? "", lines));
    }
  }
  const changes: FileChange[] = [];
  for (const [path, content] of texts) {
    const exists = [...loading, ...options].some((file) => file.path === path);
    const change = await inspectFile({
      ...{ system, context, path, content, parents: "make" },
      ...(exists ? {} : { mode: 0o644 }),
    });
    if (change !== null) changes.push(change);
  }
  return changes;
}

function sameWords(one: readonly string[], other: readonly string[]): boolean {
  return [...new Set(one)].sort().join(" ") === [...new Set(other)].sort().join(" ");
}

function commentOut(text: string, isWanted: (line: string) => boolean): string {
  return text
    .split("\n")
    .map((line) => (isWanted(line) ? `#${line}` : line))
    .join("\n");
}

function withLines(text: string, lines: readonly string[]): string {
  const start = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  return `${start}${lines.map((line) => `${line}\n`).join("")}`;
}
