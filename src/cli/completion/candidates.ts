import { homedir } from "node:os";
import { dirname, resolve } from "node:path";
import type { RunRecord } from "../../controller/records/records.ts";
import type { Names } from "../../patterns/select.ts";
import { inventoryPaths } from "../options.ts";
import {
  ansibleSettings,
  inventoriesOf as inventoriesOfRun,
  isAnsiblePlaybook,
  settleSources,
} from "../run/options.ts";
import type { ReadLine } from "./line.ts";

// The words that a word may become: names of hosts and groups, tags, runs, actions and their parameters.

/** A word that what was typed may become. */
export interface Candidate {
  /** The whole word, without quotes, which begins with the typed text. */
  readonly value: string;
  readonly description?: string;
}

/** The words that one may become. */
export interface Completion {
  readonly candidates: readonly Candidate[];
  /** The shell completes names of files or directories, behind this many characters of the word. */
  readonly files?: { readonly kind: "files" | "directories"; readonly after: number };
  /** True where a candidate is not the end of the word. */
  readonly goesOn?: boolean;
}

const NONE: Completion = { candidates: [] };

/** A line to complete. */
export interface Line extends ReadLine {
  /** Called before code of an inventory or a playbook is executed in this process. */
  onCode(): void;
}

/** Return the candidates of a word that is there to be completed. */
export async function completeWord(line: Line, word: string): Promise<Completion> {
  const { place } = line;
  switch (place.kind) {
    case "command":
      return startingWith(
        word,
        place.commands.map((command) => ({
          value: command.name(),
          description: command.summary() || command.description(),
        })),
      );
    case "option":
      return startingWith(
        word,
        place.command
          .createHelp()
          .visibleOptions(place.command)
          .map(({ long, short, description }) => ({ value: long ?? short ?? "", description })),
      );
    case "value":
      return completeValue(place, line, word);
    case "other":
      return NONE;
  }
}

/** The files or directories that a name between brackets stands for. */
const KINDS: Readonly<Record<string, "files" | "directories">> = {
  ...Object.fromEntries(
    ["file", "path", "playbook", "bundle", "source", "destination", "root", "target", "key"].map((name) => [
      name,
      "files" as const,
    ]),
  ),
  ...Object.fromEntries(["dir", "directory", "folder", "role"].map((name) => [name, "directories" as const])),
};

async function completeValue(
  { name, choices, before }: Extract<ReadLine["place"], { kind: "value" }>,
  line: Line,
  word: string,
): Promise<Completion> {
  const among = (values: readonly Candidate[], head = before): Completion =>
    startingWith(
      word,
      values.map(({ value, ...rest }) => ({ value: `${head}${value}`, ...rest })),
    );
  if (choices !== undefined) return among(choices.map((value) => ({ value })));
  if (name === "pattern" || name === "hosts") return completePattern(line, word, before);
  if (name === "tags") {
    const head = word.slice(0, Math.max(before.length, word.lastIndexOf(",") + 1));
    return among(await tagsOf(line), head);
  }
  if (name === "run") return among(await runsOf(!["run", "attach"].includes(line.command.name())));
  if (name === "action") return among(await actionsOf());
  if (name === "parameters") return completeParameter(line, word);
  // The command's file is a host's where it comes from one.
  const kind = name === "source" && line.command.name() === "get" ? undefined : KINDS[name];
  return kind === undefined ? NONE : { candidates: [], files: { kind, after: before.length } };
}

function startingWith(word: string, candidates: readonly Candidate[]): Completion {
  return { candidates: candidates.filter(({ value }) => value !== "" && value.startsWith(word)) };
}

/** The names of single hosts are offered up to this number, node sets beyond. */
const MAX_HOSTS = 50;
/** The part of a pattern that is being typed, behind separators, signs and no open bracket. */
const LAST_PART = /^((?:.*[:,])?[&!]?)([^:,[\]]*)$/s;

async function completePattern(line: Line, word: string, before: string): Promise<Completion> {
  const [, head = "", part = ""] = LAST_PART.exec(word.slice(before.length)) ?? [];
  if (`${before}${head}${part}` !== word || part.startsWith("~")) return NONE;
  const start = `${before}${head}`;
  if (part.startsWith("@")) {
    const runs = (await runsOf(true)).map(({ value, ...rest }) => ({ value: `@${value}`, ...rest }));
    const named = [
      { value: "@failed", description: "hosts of the last run that failed or were not reached" },
      { value: "@changed", description: "hosts that the last run changed" },
    ];
    return startingWith(
      word,
      [...named, ...runs].map((each) => ({ ...each, value: `${start}${each.value}` })),
    );
  }
  const { hosts, groups } = await namesOf(line);
  const offered = [...groups.values()].filter((group) => group.hosts.length > 0 || group.name === "all");
  const names = [...hosts.keys()].filter((name) => name.startsWith(part));
  return startingWith(word, [
    ...offered.map(({ name, hosts: members }) => ({
      value: `${start}${name}`,
      description: members.length === 1 ? "group of 1 host" : `group of ${members.length} hosts`,
    })),
    ...(await foldMany(names, part)).map((name) => ({ value: `${start}${name}` })),
  ]);
}

/** Return names, or where they are many the node sets that they are. */
async function foldMany(names: readonly string[], start: string): Promise<readonly string[]> {
  if (names.length <= MAX_HOSTS) return names;
  const { foldNodeSet } = await import("../../patterns/names.ts");
  const sets = foldNodeSet(names);
  return sets.every((set) => set.startsWith(start)) ? sets : names;
}

/** Read the names in the inventory that the line names, or that a run would take. */
async function namesOf(line: Line): Promise<Names> {
  const { readNames } = await import("../../inventory/names.ts");
  return readNames(await inventoriesOf(line), {
    cwd: process.cwd(),
    loadModule: moduleLoader(line),
  });
}

function moduleLoader({ onCode }: Line): (file: string) => Promise<unknown> {
  return async (file) => {
    const { loadInventoryModule } = await import("../../controller/prepare/read.ts");
    onCode();
    return loadInventoryModule(file);
  };
}

async function inventoriesOf({ given, values }: ReadLine): Promise<readonly string[]> {
  const inventory = given.get("inventory")?.map((path) => path.replace(/^~(?=\/|$)/, homedir()));
  const flags = inventory === undefined ? {} : { inventory };
  const playbooks = values.get("playbook") ?? [];
  const settled = settleSources(flags, await ansibleSettings(playbooks));
  return inventoriesOfRun(settled, inventoryPaths, playbooks.some(isAnsiblePlaybook));
}

/** The most runs that are offered. */
const MAX_RUNS = 30;

/** List the latest runs; those of commands and transfers only where `all`. */
async function runsOf(all: boolean): Promise<readonly Candidate[]> {
  const { listPlaybookRuns, listRuns, readRecord, runsDirectory } = await import(
    "../../controller/records/records.ts"
  );
  const directory = runsDirectory();
  const describe = (run: string): string => {
    try {
      const { startedAt, options }: RunRecord = readRecord(directory, run);
      return `${new Date(startedAt).toLocaleString("sv")} ${String(options.playbook ?? "")}`.trim();
    } catch {
      return "";
    }
  };
  const runs = (all ? listRuns(directory) : listPlaybookRuns(directory)).slice(0, MAX_RUNS);
  return runs.map((value) => ({ value, description: describe(value) }));
}

/** List the tags of the tasks that are known of the line's playbooks without a run. */
async function tagsOf(line: Line): Promise<readonly Candidate[]> {
  const [{ outlinePlaybook }, { createSecretStore }, { loadInventory }, { keptNames }] = await Promise.all([
    import("../../controller/prepare/outline.ts"),
    import("../../vars/secrets/store.ts"),
    import("../../inventory/load.ts"),
    import("../../inventory/kept-names.ts"),
  ]);
  const cwd = process.cwd();
  const inventories = await inventoriesOf(line);
  const loadModule = moduleLoader(line);
  line.onCode();
  // Neither a question nor a program that the environment names: what is encrypted stays closed.
  const secrets = createSecretStore({ cwd, env: {} });
  const tags = new Set<string>();
  for (const playbook of line.values.get("playbook") ?? []) {
    const settings = await ansibleSettings([playbook]);
    const inventory = await loadInventory(inventories, {
      ...{ cwd, loadModule, secrets, playbookDirectory: dirname(resolve(cwd, playbook)) },
      asAnsible: isAnsiblePlaybook(playbook),
      onProgram: keptNames,
    });
    const { plays } = await outlinePlaybook({
      ...{ playbook, inventory, secrets, cwd, tags: [], skipTags: [] },
      ...{ limit: undefined, extraVars: line.given.get("extraVars"), connection: undefined },
      ansible: settings,
      // Vars that a program would print are not known.
      isLenient: true,
    });
    for (const tag of plays.flatMap((play) => [...play.tags, ...play.tasks.flatMap((task) => task.tags)]))
      tags.add(tag);
  }
  return [...tags].sort().map((value) => ({ value }));
}

async function actionsOf(): Promise<readonly Candidate[]> {
  const { actionNames } = await import("../reference/names.ts");
  return actionNames().map((value) => ({ value }));
}

/** Complete `name=` of an action's parameters, and the values of those that have only some. */
async function completeParameter({ values }: ReadLine, word: string): Promise<Completion> {
  const [action] = values.get("action") ?? [];
  if (action === undefined) return NONE;
  const { findAction, parametersOf } = await import("../reference/actions.ts");
  const parameters = parametersOf(findAction(action).params);
  const [, name, value] = /^([^=]+)=([\s\S]*)$/.exec(word) ?? [];
  if (name === undefined || value === undefined) {
    const offered = parameters.map(({ name: each, description }) => ({ value: `${each}=`, description }));
    return { ...startingWith(word, offered), goesOn: true };
  }
  if (value.startsWith("@")) return { candidates: [], files: { kind: "files", after: name.length + 2 } };
  const { type = "" } = parameters.find((each) => each.name === name) ?? {};
  const words = [
    ...[...type.matchAll(/"([^"]*)"/g)].map(([, text]) => text!),
    ...(/\bboolean\b/.test(type) ? ["true", "false"] : []),
  ];
  if (words.length > 0)
    return startingWith(
      word,
      words.map((each) => ({ value: `${name}=${each}` })),
    );
  return { candidates: [], files: { kind: "files", after: name.length + 1 } };
}
