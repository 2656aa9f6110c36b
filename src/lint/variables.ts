import { editDistance } from "../core/errors.ts";
import { inspectText, type NamedVar } from "../template/inspect.ts";
import { isTemplate } from "../vars/scope.ts";
import { type Unit, withUses } from "./unit.ts";

/** Vars that are there without being defined. */
const MAGIC =
  /^(?:ansible_\w+|_\w*|inventory_(?:hostname|hostname_short|dir|file)|groups?|group_names|hostvars|vars|omit|playbook_dir|play_hosts|role_(?:path|name|names)|environment|item|services|packages|getent_\w+|template_\w+|module_setup|discovered_\w+)$/i;

/**
 * Report vars that nothing defines. With an inventory all vars are known. Without one, any var may come from there: then
 * a name is reported that is a slip of the pen away from a var that its own role or playbook defines.
 */
export function checkVars(units: readonly Unit[]): void {
  const books = units.map(({ vars }) => vars);
  const all = {
    defined: new Set(books.flatMap(({ defined }) => [...defined])),
    set: new Set(books.flatMap(({ set }) => [...set])),
    guarded: new Set(books.flatMap(({ guarded }) => [...guarded])),
  };
  const isOpen = units.some((unit) => unit.isOpen || unit.vars.isOpen);
  for (const unit of units) {
    checkShell(unit);
    checkRecursion(unit, all.set);
    const { inventoryVars } = unit.world;
    const isKnown = inventoryVars !== undefined && unit.hasPlaybook && !isOpen;
    const near = [...withUses(unit)].map(({ vars }) => vars);
    if (near.some((book) => book.isOpen)) continue;
    const names = new Set(near.flatMap(({ defined }) => [...defined]));
    for (const { name, at, isLazy } of unit.vars.used) {
      if (all.defined.has(name) || all.guarded.has(name) || MAGIC.test(name)) continue;
      if (inventoryVars?.has(name) === true) continue;
      const slip = slipOf(name, names);
      if (!isKnown && slip === undefined) continue;
      unit.findings.add(
        "undefined-variable",
        isKnown && !isLazy ? "error" : "warning",
        at,
        `nothing here defines "${name}"${slip === undefined ? "" : `; did you mean "${slip}"?`}`,
        isKnown
          ? "define it in the inventory, in vars or in defaults, or give it with -e"
          : "correct the name, or define it",
      );
    }
  }
}

/** Report vars made of themselves: the var in the template is the var itself again, not one of the same name further out. */
function checkRecursion(unit: Unit, set: ReadonlySet<string>): void {
  for (const { name, at, text } of unit.vars.own) {
    if (set.has(name) || !isMadeOf(text, name)) continue;
    unit.findings.add(
      "recursive-variable",
      // The role's user may give it as a parameter, which wins.
      unit.role === undefined ? "error" : "warning",
      at,
      `the var "${name}" is made of itself`,
      "give it another name: a template never sees the var of the same name further out",
    );
  }
}

/** Give advice on vars of the user's in command lines of the shell. */
function checkShell(unit: Unit): void {
  for (const { text, at } of unit.vars.shell) {
    const names = varsOf(text.replace(/(["'])\{\{.*?\}\}\1/gs, ""))
      .filter(({ name, isQuoted }) => !isQuoted && unit.vars.given.has(name))
      .map(({ name }) => name);
    for (const name of new Set(names))
      unit.findings.add(
        "unquoted-shell-variable",
        "hint",
        at,
        `the shell sees the value of "${name}" as a part of its script`,
        `if it is one word, write {{ ${name} | quote }}`,
      );
  }
}

function varsOf(text: string): readonly NamedVar[] {
  try {
    return inspectText(text).vars;
  } catch {
    return [];
  }
}

function isMadeOf(text: string, name: string): boolean {
  return isTemplate(text) && varsOf(text).some((each) => each.name === name);
}

/** Return the defined name that a name is a misspelling of. */
function slipOf(name: string, defined: ReadonlySet<string>): string | undefined {
  const limit = name.length >= 12 ? 2 : name.length >= 6 ? 1 : 0;
  if (limit === 0) return undefined;
  const plain = (text: string): string => text.replace(/\d+/g, "#");
  return [...defined].find(
    (each) =>
      editDistance(name, each) <= limit &&
      plain(each) !== plain(name) &&
      // Plurals are names of their own.
      `${each}s` !== name &&
      `${name}s` !== each &&
      each[0] === name[0],
  );
}
